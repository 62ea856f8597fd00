from __future__ import annotations

from pathlib import Path

import pytest

from napari_cwtnet.errors import ModelError
from napari_cwtnet.model import CwtNet, load_model, preset, save_weights
from napari_cwtnet.model.weights import read_header


def test_says_what_the_loaded_model_says(tmp_path: Path) -> None:
    for scale, share in ((2, 0), (4, 0.5), (8, "much")):
        path = tmp_path / f"x{scale}.safetensors"
        save_weights(path, CwtNet(preset("lite", scale)), {"reference_share": share})
        header, model = read_header(path), load_model(path)
        assert (header.name, header.path, header.scale) == (model.name, path, scale)
        assert header.config == model.config
        assert header.provenance == model.provenance
        assert header.takes_reference == model.takes_reference
        assert header.parameters == model.parameters == model.network.parameter_count()


def test_a_line_gives_both_gains_or_none(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    network = CwtNet(preset("lite", 2))
    gains = {"bicubic": 2.53, "box+jpeg75-420": 1.22}
    for figures, says in (
        ({"single-image": gains}, "+1.2 dB at JPEG 75, +2.5 dB clean"),
        ({"single-image": {"bicubic": 2.53}}, None),
        ("many", None),
    ):
        save_weights(path, network, {"stains": ["H&E"], "figures": figures})
        line = read_header(path).line
        assert line.startswith("×2 · H&E · ")
        assert line.endswith(" M parameters")
        assert ("dB" in line) == (says is not None)
        assert says is None or says in line


def test_a_purpose_is_in_the_line(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    network = CwtNet(preset("lite", 4))
    for provenance, purpose in (
        ({"purpose": "for looking inside"}, "for looking inside"),
        ({"purpose": 3}, ""),
        ({}, ""),
    ):
        save_weights(path, network, provenance)
        header = read_header(path)
        assert header.purpose == purpose
        assert ("for looking inside, not for use" in header.line) == bool(purpose)


def test_sees_that_a_file_was_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for scale in (2, 4):
        save_weights(path, CwtNet(preset("lite", scale)), {})
        assert read_header(path).scale == scale


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04pickle", b"x" * 100])
def test_refuses_what_has_no_header(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"model\.safetensors (cannot be read: .*choose|are a pickle)"
    ):
        read_header(path)
