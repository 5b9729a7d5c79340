"""A LoRA adapter for the tiny model, with random weights that change every token."""

import json
import random
from array import array
from pathlib import Path
from typing import Any

__all__ = ["write_adapter"]

_RANK = 8


def write_adapter(directory: Path, model: Path, *, seed: int) -> Path:
    """Write one for the query and value projections of the model in ``model``; returns ``directory``."""
    shape = json.loads((model / "config.json").read_text())
    hidden, head = shape["hidden_size"], shape["head_dim"]
    outs = {"q_proj": shape["num_attention_heads"] * head, "v_proj": shape["num_key_value_heads"] * head}
    chance = random.Random(seed)
    header: dict[str, Any] = {}
    data = bytearray()
    for layer in range(shape["num_hidden_layers"]):
        for name, out in outs.items():
            at = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            for part, size in (("lora_A", (_RANK, hidden)), ("lora_B", (out, _RANK))):
                values = array("f", (chance.gauss(0.0, 0.3) for _ in range(size[0] * size[1]))).tobytes()
                offsets = (len(data), len(data) + len(values))
                header[f"{at}.{part}.weight"] = {"dtype": "F32", "shape": size, "data_offsets": offsets}
                data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    directory.mkdir(parents=True)
    (directory / "adapter_model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    described = {"peft_type": "LORA", "r": _RANK, "lora_alpha": _RANK, "target_modules": list(outs), "bias": "none"}
    (directory / "adapter_config.json").write_text(json.dumps(described))
    return directory
