"""The user's own models are added, renamed and deleted; shipped ones are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_cwtnet.errors import ModelError
from napari_cwtnet.model import CwtNet, list_models, preset, save_weights
from napari_cwtnet.model.library import add_model, delete_model, rename_model


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models, which is not there yet."""
    monkeypatch.setenv("CWTNET_MODELS", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    save_weights(path, CwtNet(preset("lite", 2, blocks=1, channels=8)), {})
    return path


def test_a_model_is_added_renamed_and_deleted(own: Path, weights: Path) -> None:
    assert add_model(weights) == "mine"
    assert (own / "mine.safetensors").read_bytes() == weights.read_bytes()
    assert rename_model("mine", " better x2.safetensors ") == "better x2"
    assert list_models()["better x2"] == own / "better x2.safetensors"
    assert "mine" not in list_models()
    delete_model("better x2")
    assert [*own.iterdir()] == []
    assert weights.exists()


def test_shipped_models_stay(own: Path) -> None:
    shipped = next(iter(list_models()))
    path = list_models()[shipped]
    for change in (lambda: delete_model(shipped), lambda: rename_model(shipped, "other")):
        with pytest.raises(ModelError, match="shipped"):
            change()
    assert path.exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "../a", ".hidden", "a\nb", "x" * 200])
def test_names_that_lead_elsewhere_are_refused(own: Path, weights: Path, name: str) -> None:
    add_model(weights)
    with pytest.raises(ModelError):
        rename_model("mine", name)
    assert [path.name for path in own.iterdir()] == ["mine.safetensors"]


def test_what_is_no_model_or_there_already_is_refused(
    own: Path, weights: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(ModelError):
        add_model(bad)
    with pytest.raises(ModelError, match="no model"):
        add_model(tmp_path / "a.pth")
    with pytest.raises(ModelError):
        add_model(tmp_path / "missing.safetensors")
    assert not own.exists() or [*own.iterdir()] == []
    add_model(weights)
    with pytest.raises(ModelError, match="already"):
        add_model(weights)
    with pytest.raises(ModelError, match="already"):
        rename_model("mine", next(iter(list_models())).upper())
    with pytest.raises(ModelError, match="unknown"):
        delete_model("nothing")
