"""The default model: a real but tiny Llama that needs no download.

Its weights are random, so its text is noise; but they are *real* random weights of such a scale that every token
depends on all tokens before it. (vLLM's own ``--load-format dummy`` falls into a cycle of two tokens, on which "the
same output" proves nothing.) Its tokenizer has one token a byte, so any text round-trips, and one token of output is
one printable character: other bytes and the end-of-text token are made so unlikely that a call always runs to its
``max_tokens`` or stop string.

Everything is derived from integers by the standard library alone: the same bytes on every machine, in a second.
"""

import hashlib
import json
import math
import os
import sys
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["CONTEXT_TOKENS", "NAME", "build", "cache_directory"]

NAME = "autellix-tiny"
"""What the model is called in the API."""
CONTEXT_TOKENS = 16_384
"""Well above Algorithm 2's 2,048 tokens, so that long calls exist."""

_VERSION = 1  # a part of the directory's name: raise it with any change of the bytes below
_SEED = 20250219
_HIDDEN, _INNER, _LAYERS, _HEADS, _KV_HEADS, _HEAD = 128, 352, 2, 2, 1, 64
_SPECIALS = ("<|endoftext|>", "<|start|>", "<|end|>", "<|pad|>")
_VOCABULARY = 256 + len(_SPECIALS)
_PRINTABLE = range(0x20, 0x7F)
_ANCHOR = 4.0
"""Channel 0 of the residual stream is this constant; nothing writes to it, so the head can read a bias from it."""
_UNLIKELY = -40.0

_CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n"
    "{{ message['content'] | default('', true) }}"
    "{% for call in message['tool_calls'] | default([], true) %}{{ call | tojson }}{% endfor %}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Where built models are kept: ``$AUTELLIX_CACHE``, else ``autellix`` in the user's cache directory."""
    if chosen := environment.get("AUTELLIX_CACHE"):
        return Path(chosen)
    user = environment.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "autellix"


def build(cache: Path) -> Path:
    """The model's directory below ``cache``, written on first use.

    Every file appears whole or not at all, and always with the same bytes: engines that start at the same time may
    each write it.
    """
    directory = cache / "models" / f"{NAME}-{_VERSION}"
    directory.mkdir(parents=True, exist_ok=True)
    for name, value in _descriptions().items():
        _write(directory / name, json.dumps(value, indent=1).encode())
    weights = directory / "model.safetensors"
    header = _header()
    if not weights.is_file() or weights.stat().st_size != len(header) + 4 * _parameters():
        _write(weights, header + b"".join(_float32(name, shape) for name, shape in _tensors()))
    return directory


def _write(path: Path, content: bytes) -> None:
    if path.is_file() and path.stat().st_size == len(content):
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        draft.write(content)
    Path(draft.name).chmod(0o644)
    Path(draft.name).replace(path)


def _descriptions() -> dict[str, object]:
    """The model's JSON files: architecture, generation defaults, tokenizer."""
    end, _, turn_end, pad = (256 + index for index in range(len(_SPECIALS)))
    return {
        "config.json": {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "dtype": "float32",
            "hidden_size": _HIDDEN,
            "intermediate_size": _INNER,
            "num_hidden_layers": _LAYERS,
            "num_attention_heads": _HEADS,
            "num_key_value_heads": _KV_HEADS,
            "head_dim": _HEAD,
            "vocab_size": _VOCABULARY,
            "max_position_embeddings": CONTEXT_TOKENS,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "rms_norm_eps": 1e-5,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": False,
            "bos_token_id": None,
            "eos_token_id": end,
            "pad_token_id": pad,
        },
        "generation_config.json": {"eos_token_id": [end, turn_end], "pad_token_id": pad},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": _SPECIALS[0],
            "pad_token": _SPECIALS[3],
            "model_max_length": CONTEXT_TOKENS,
            "clean_up_tokenization_spaces": False,
            "chat_template": _CHAT_TEMPLATE,
        },
        "tokenizer.json": _tokenizer(),
    }


def _tokenizer() -> dict[str, object]:
    """Byte-level BPE without a merge, in the tokenizers library's own format."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": 256 + index,
                "content": content,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for index, content in enumerate(_SPECIALS)
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": False,
        },
        "post_processor": None,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": False,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {symbol: byte for byte, symbol in enumerate(_byte_symbols())},
            "merges": [],
        },
    }


def _byte_symbols() -> list[str]:
    """The letter that stands for each byte: itself where it prints, else the next unused one from U+0100 on.

    This is the alphabet that byte-level tokenizers share since GPT-2.
    """
    prints = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte) if byte in prints else chr(next(spare)) for byte in range(256)]


def _tensors() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (_VOCABULARY, _HIDDEN)
    for layer in range(_LAYERS):
        at = f"model.layers.{layer}"
        yield f"{at}.input_layernorm.weight", (_HIDDEN,)
        yield f"{at}.self_attn.q_proj.weight", (_HEADS * _HEAD, _HIDDEN)
        yield f"{at}.self_attn.k_proj.weight", (_KV_HEADS * _HEAD, _HIDDEN)
        yield f"{at}.self_attn.v_proj.weight", (_KV_HEADS * _HEAD, _HIDDEN)
        yield f"{at}.self_attn.o_proj.weight", (_HIDDEN, _HEADS * _HEAD)
        yield f"{at}.post_attention_layernorm.weight", (_HIDDEN,)
        yield f"{at}.mlp.gate_proj.weight", (_INNER, _HIDDEN)
        yield f"{at}.mlp.up_proj.weight", (_INNER, _HIDDEN)
        yield f"{at}.mlp.down_proj.weight", (_HIDDEN, _INNER)
    yield "model.norm.weight", (_HIDDEN,)
    yield "lm_head.weight", (_VOCABULARY, _HIDDEN)


def _parameters() -> int:
    return sum(math.prod(shape) for _, shape in _tensors())


def _header() -> bytes:
    """The safetensors header: its length, then JSON that says where each tensor lies."""
    entries: dict[str, object] = {}
    offset = 0
    for name, shape in _tensors():
        size = 4 * math.prod(shape)
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": (offset, offset + size)}
        offset += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _float32(name: str, shape: tuple[int, ...]) -> bytes:
    """One tensor as little-endian float32."""
    if len(shape) == 1:
        values = array("f", [1.0]) * shape[0]  # a norm's scale
    else:
        rows, columns = shape
        values = _normal(name, rows * columns, _deviation(name, columns))
        if name.startswith("model.embed_tokens"):
            for row in range(rows):
                values[row * columns] = _ANCHOR
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            values[:columns] = array("f", [0.0]) * columns
        elif name.startswith("lm_head"):
            for row in range(rows):
                values[row * columns] = 0.0 if row in _PRINTABLE else _UNLIKELY
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _deviation(name: str, fan_in: int) -> float:
    """Scales at which greedy outputs do not repeat: queries and keys so large that attention chooses sharply."""
    if name.startswith("model.embed_tokens"):
        return 1.0
    if name.startswith("lm_head"):
        return 0.3
    return (3.0 if name.endswith(("q_proj.weight", "k_proj.weight")) else 1.5) / math.sqrt(fan_in)


def _normal(name: str, count: int, deviation: float) -> "array[float]":
    """``count`` near-normal numbers: sums of four uniform 16-bit integers, exact on every machine."""
    drawn = array("H", hashlib.shake_256(f"{_SEED}/{name}".encode()).digest(8 * count))
    if sys.byteorder == "big":
        drawn.byteswap()
    scale = deviation * math.sqrt(3.0) / 0x10000  # a uniform 16-bit integer has variance 2^32 / 12
    middle = 2 * 0xFFFF
    parts = (drawn[0::4], drawn[1::4], drawn[2::4], drawn[3::4])
    return array("f", [(a + b + c + d - middle) * scale for a, b, c, d in zip(*parts, strict=True)])
