"""Targets are what models for use reach."""

from __future__ import annotations

from pathlib import Path

from napari_cwtnet.enhancement.target import Target, suiting_models, targets
from napari_cwtnet.model import CwtNet, preset, save_weights
from napari_cwtnet.model.weights import ModelHeader, read_header


def kept(folder: Path, name: str, scale: int, **provenance: str) -> ModelHeader:
    path = folder / f"{name}.safetensors"
    save_weights(path, CwtNet(preset("lite", scale, blocks=1, channels=8)), provenance)
    return read_header(path)


def test_a_model_for_something_else_is_no_answer(tmp_path: Path) -> None:
    models = [
        kept(tmp_path, "a-x4", 4, purpose="for looking inside"),
        kept(tmp_path, "b-x4", 4),
        kept(tmp_path, "c-x2", 2),
        kept(tmp_path, "d-x8", 8, purpose="for looking inside"),
    ]
    assert targets(models) == (Target(2), Target(4))
    assert [model.name for model in suiting_models(Target(4), models)] == ["b-x4"]
    assert suiting_models(Target(8), models) == ()
