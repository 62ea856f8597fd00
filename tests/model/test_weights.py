"""Weights files: what is saved comes back, and what is not to be trusted is refused in one line."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from napari_cwtnet.errors import ModelError, OutputError
from napari_cwtnet.model import CwtNet, NetworkConfig, read_weights, save_weights

CONFIG = NetworkConfig(
    blocks=1, channels=8, sr_residual_blocks=1, wt_residual_blocks=1, wr_blocks=1, scale=4
)


@pytest.fixture
def network() -> CwtNet:
    torch.manual_seed(1)
    return CwtNet(CONFIG)


@pytest.fixture
def path(tmp_path: Path, network: CwtNet) -> Path:
    """A good file."""
    path = tmp_path / "good.safetensors"
    save_weights(path, network, {"note": "µm"})
    return path


def refusal(path: Path) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(ModelError) as caught:
        read_weights(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def with_header(path: Path, metadata: dict[str, str], tensors: dict[str, Any]) -> Path:
    save_file(tensors, path, metadata)
    return path


def good_metadata(**changes: str) -> dict[str, str]:
    good = {"format": "cwtnet-1", "config": CONFIG.model_dump_json(), "provenance": "{}"}
    return good | changes


@torch.no_grad()
def test_round_trip_gives_the_same_outputs(path: Path, network: CwtNet) -> None:
    read, provenance, sha256 = read_weights(path)
    assert read.config == CONFIG
    assert provenance == {"note": "µm"}
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not read.training
    lr = torch.rand(1, 3, 6, 6)
    assert torch.equal(read(lr).sr, network(lr).sr)


def test_round_trip_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    read, provenance, _ = read_weights(path)
    again = tmp_path / "again.safetensors"
    for _ in range(5):
        save_weights(again, read, provenance)
        assert again.read_bytes() == path.read_bytes()


def test_config_and_provenance_are_in_the_header(path: Path) -> None:
    with safe_open(path, framework="pt") as archive:
        metadata = archive.metadata()
    assert metadata["format"] == "cwtnet-1"
    assert NetworkConfig.model_validate_json(metadata["config"]) == CONFIG
    assert json.loads(metadata["provenance"]) == {"note": "µm"}


def test_float16_halves_the_file_and_rounds(path: Path, network: CwtNet, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    save_weights(half, network, {"note": "µm"}, torch.float16)
    saved = 2 * network.parameter_count()
    assert path.stat().st_size - half.stat().st_size == pytest.approx(saved, abs=64)
    read, _, _ = read_weights(half)
    for got, kept in zip(read.parameters(), network.parameters(), strict=True):
        assert got.dtype == torch.float32
        assert torch.equal(got, kept.half().float())


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_pickle_is_refused(tmp_path: Path, network: CwtNet, legacy: bool) -> None:
    path = tmp_path / "model.safetensors"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    message = refusal(path)
    assert message.endswith(
        "are a pickle, which can run code when loaded; only .safetensors files are opened."
    )


def test_hostile_pickle_is_never_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (witness,))

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = tmp_path / f"{protocol}.safetensors"
        path.write_bytes(pickle.dumps(Hostile(), protocol))
        refusal(path)
    assert not witness.exists()


def test_header_length_that_looks_like_a_pickle_is_read(tmp_path: Path, network: CwtNet) -> None:
    """The first bytes are the header's length: one file in 32 begins with 0x80."""
    path = tmp_path / "unlucky.safetensors"
    for padding in range(300):
        save_weights(path, network, {"padding": "x" * padding})
        if path.read_bytes().startswith(b"\x80"):
            break
    assert path.read_bytes().startswith(b"\x80")
    _, provenance, _ = read_weights(path)
    assert provenance == {"padding": "x" * padding}


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -1])
def test_truncated_file_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    assert " are damaged: " in refusal(path)


@pytest.mark.parametrize("length", [2**63, 2**40, 99_999_999, 10, 0])
def test_header_of_absurd_length_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "absurd.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b'{"a":1}' * 10)
    assert refusal(path).endswith("; copy or make the file again.")


def test_garbage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(bytes(range(256)) * 40)
    assert " are damaged: " in refusal(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.safetensors").endswith(
        "cannot be read: No such file or directory; check the path."
    )
    assert "are a folder or a device; give a .safetensors file" in refusal(tmp_path)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "esrgan"}])
def test_file_of_another_format_is_refused(tmp_path: Path, metadata: Any) -> None:
    path = with_header(tmp_path / "other.safetensors", metadata, {"a": torch.zeros(1)})
    named = (metadata or {}).get("format")
    assert f"not a CWT-Net: format {named!r}, wanted 'cwtnet-1'" in refusal(path)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("", "Invalid JSON"),
        ("{", "Invalid JSON"),
        ("[1]", "the whole: "),
        ('{"scale": 3}', "scale: "),
        ('{"colour": 3}', "colour: Extra inputs"),
        ('{"tile": 32, "halo": 32}', "the whole: tile 32 must exceed"),
        ('{"mean": [NaN, 0, 0]}', "mean.0: "),
        ("[" * 100_000, "Invalid JSON"),
    ],
)
def test_unusable_config_is_refused_by_name(tmp_path: Path, config: str, named: str) -> None:
    metadata = good_metadata(config=config)
    path = with_header(tmp_path / "bad.safetensors", metadata, {"a": torch.zeros(1)})
    message = refusal(path)
    assert f"have no usable config: {named}" in message or f": the whole: {named}" in message
    assert "pydantic.dev" not in message


@pytest.mark.parametrize("provenance", ["[]", "3", "null", "{", "[" * 100_000])
def test_unusable_provenance_is_refused(tmp_path: Path, network: CwtNet, provenance: str) -> None:
    metadata = good_metadata(provenance=provenance)
    path = with_header(tmp_path / "bad.safetensors", metadata, network.state_dict())
    assert "have no usable provenance: " in refusal(path)


def test_missing_extra_and_misshapen_tensors_are_named(tmp_path: Path, network: CwtNet) -> None:
    path, whole = tmp_path / "bad.safetensors", network.state_dict()
    missing = {name: value for name, value in whole.items() if name != "head.bias"}
    message = refusal(with_header(path, good_metadata(), missing))
    assert "head.bias has shape none, wanted (8,)" in message
    message = refusal(with_header(path, good_metadata(), whole | {"extra": torch.zeros(2, 2)}))
    assert "extra has shape (2, 2), wanted none" in message
    misshapen = whole | {"head.weight": torch.zeros(8, 3, 1, 1)}
    message = refusal(with_header(path, good_metadata(), misshapen))
    assert "head.weight has shape (8, 3, 1, 1), wanted (8, 3, 3, 3)" in message


def test_absurd_config_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="memory is measured on POSIX systems")
    absurd = NetworkConfig(channels=512, blocks=64, sr_residual_blocks=16, wt_residual_blocks=16)
    with torch.device("meta"):
        assert CwtNet(absurd).parameter_count() * 4 > 30 * 2**30
    metadata = good_metadata(config=absurd.model_dump_json())
    path = with_header(tmp_path / "absurd.safetensors", metadata, {"a": torch.zeros(1)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "do not fit their own config: a has shape (1,), wanted none" in refusal(path)
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KiB on Linux
    assert taken < 200 * 1024


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(
    tmp_path: Path, network: CwtNet, value: float
) -> None:
    with torch.no_grad():
        network.head.bias[3] = value
    path = tmp_path / "nan.safetensors"
    save_weights(path, network, {})
    assert "head.bias holds values that are not finite" in refusal(path)


def test_full_disk_keeps_the_older_file(path: Path, network: CwtNet) -> None:
    resource = pytest.importorskip("resource", reason="file size limits need a POSIX system")
    older = path.read_bytes()
    with torch.no_grad():
        network.head.bias.add_(1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(older) // 2, hard))
    try:
        with pytest.raises(OutputError, match=r"Cannot write .*: File too large; free some space"):
            save_weights(path, network, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == older
    assert [p.name for p in path.parent.iterdir()] == [path.name]
