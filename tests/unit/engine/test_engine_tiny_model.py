"""The built model: the same bytes everywhere, whole files only, and a tokenizer of single bytes."""

import hashlib
import json
import math
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autellix_engine import tiny_model

# What every machine must build; it changes only together with the version in the directory's name.
WEIGHTS_SHA256 = "2fc0a695e87f589a2d1834722fec854658223cd85223f55e6449a17e2ce111a1"


def digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


def read_weights(directory: Path) -> dict[str, tuple[list[int], "array[float]"]]:
    content = (directory / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    tensors = {}
    for name, entry in json.loads(content[8:start]).items():
        begin, end = entry["data_offsets"]
        tensors[name] = entry["shape"], array("f", content[start + begin : start + end])
    assert start + max(json.loads(content[8:start])[name]["data_offsets"][1] for name in tensors) == len(content)
    return tensors


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("cache"))


def test_the_bytes_are_the_same_everywhere(model: Path, tmp_path: Path) -> None:
    assert digests(model)["model.safetensors"] == WEIGHTS_SHA256
    assert digests(tiny_model.build(tmp_path)) == digests(model)


def test_engines_that_start_at_the_same_time_do_not_collide(model: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        built = set(pool.map(tiny_model.build, [tmp_path] * 8))
    (directory,) = built
    assert digests(directory) == digests(model)


def test_what_is_missing_or_cut_short_is_written_again(tmp_path: Path) -> None:
    directory = tiny_model.build(tmp_path)
    whole = digests(directory)
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    (directory / "config.json").unlink()
    tiny_model.build(tmp_path)
    assert digests(directory) == whole


def test_an_existing_model_is_left_alone(tmp_path: Path) -> None:
    weights = tiny_model.build(tmp_path) / "model.safetensors"
    before = weights.stat().st_mtime_ns, weights.stat().st_ino
    tiny_model.build(tmp_path)
    assert (weights.stat().st_mtime_ns, weights.stat().st_ino) == before


def test_every_weight_has_its_shape_and_scale(model: Path) -> None:
    tensors = read_weights(model)
    for name, (shape, values) in tensors.items():
        assert len(values) == math.prod(shape), name
        assert all(map(math.isfinite, values)), name
    shape, queries = tensors["model.layers.0.self_attn.q_proj.weight"]
    deviation = math.sqrt(sum(value * value for value in queries) / len(queries))
    assert deviation == pytest.approx(3.0 / math.sqrt(shape[1]), rel=0.05)
    assert set(tensors["model.norm.weight"][1]) == {1.0}


def test_only_printable_characters_are_likely(model: Path) -> None:
    (rows, columns), head = read_weights(model)["lm_head.weight"]
    likely = [row for row in range(rows) if head[row * columns] == 0.0]
    assert likely == list(range(0x20, 0x7F))


def test_every_byte_is_one_token(model: Path) -> None:
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    assert sorted(vocabulary.values()) == list(range(256))
    assert all(len(symbol) == 1 for symbol in vocabulary)
    assert [vocabulary[letter] for letter in "Az~!"] == list(b"Az~!")


def test_where_models_are_kept() -> None:
    assert tiny_model.cache_directory({"AUTELLIX_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert tiny_model.cache_directory({"XDG_CACHE_HOME": "/b"}) == Path("/b/autellix")
    assert tiny_model.cache_directory({}) == Path.home() / ".cache" / "autellix"
