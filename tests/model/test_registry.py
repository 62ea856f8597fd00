"""Models by name and by file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_cwtnet.errors import ModelError
from napari_cwtnet.model import (
    CwtNet,
    NetworkConfig,
    list_models,
    load_model,
    save_weights,
    user_model_folder,
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's model folder, empty."""
    monkeypatch.setenv("CWTNET_MODELS", str(tmp_path))
    return tmp_path


def keep(path: Path, provenance: dict[str, object], **changes: object) -> Path:
    config = NetworkConfig.model_validate({"blocks": 1, "channels": 8} | changes)
    save_weights(path, CwtNet(config), provenance)
    return path


def test_model_in_the_user_s_folder_is_found_by_name(folder: Path) -> None:
    assert user_model_folder() == folder
    path = keep(folder / "mine-1.2.safetensors", {"reference_share": 0.5}, scale=4)
    assert list_models()["mine-1.2"] == path
    model = load_model("mine-1.2")
    assert (model.name, model.path, model.scale) == ("mine-1.2", path, 4)
    assert model.takes_reference
    assert model.provenance == {"reference_share": 0.5}
    assert len(model.sha256) == 64


def test_model_file_is_loaded_from_anywhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = keep(elsewhere / "other.safetensors", {})
    assert "other" not in list_models()
    for given in (path, str(path)):
        assert load_model(given).name == "other"


@pytest.mark.parametrize(
    ("provenance", "changes", "takes"),
    [
        ({}, {}, False),
        ({"reference_share": 0}, {}, False),
        ({"reference_share": 0.1}, {}, True),
        ({"reference_share": 1.0}, {"wt_branch": False}, False),
        ({"reference_share": "all"}, {}, False),
    ],
)
def test_whether_a_model_takes_a_reference(
    folder: Path, provenance: dict[str, object], changes: dict[str, object], takes: bool
) -> None:
    assert (
        load_model(keep(folder / "m.safetensors", provenance, **changes)).takes_reference == takes
    )


def test_unknown_name_lists_the_known_ones(folder: Path) -> None:
    keep(folder / "mine.safetensors", {})
    with pytest.raises(ModelError) as caught:
        load_model("yours")
    assert str(caught.value).startswith("Model 'yours' is unknown; choose one of ")
    assert "mine or give a .safetensors file." in str(caught.value)


def test_a_folder_is_refused_with_the_models_in_it(tmp_path: Path) -> None:
    run = tmp_path / "a run"
    run.mkdir()
    with pytest.raises(ModelError, match=r"^Model '.*a run' is a folder that holds no model's wei"):
        load_model(run)
    save_file({"a": torch.zeros(3)}, run / "last.safetensors", {"progress": "{}"})
    with pytest.raises(ModelError, match=r"weights \(last\.safetensors: no model\); give a \.safe"):
        load_model(run)
    first = keep(run / "mine.safetensors", {})
    with pytest.raises(ModelError) as caught:
        load_model(str(run))
    assert str(caught.value) == (
        f"Model {str(run)!r} is a folder and no file; give the weights file in it: {first}."
    )
    other = keep(run / "final.safetensors", {})
    with pytest.raises(ModelError) as caught:
        load_model(run)
    assert str(caught.value).endswith(f"give one of the weights files in it: {other}, {first}.")
    assert load_model(first).name == "mine"


def test_half_written_model_is_no_model(folder: Path) -> None:
    (folder / ".mine.123.partial.safetensors").write_bytes(b"half")
    assert not [name for name in list_models() if "mine" in name]


def test_pickle_by_name_or_path_is_refused(folder: Path) -> None:
    (folder / "mine.pth").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ModelError, match="are a pickle"):
        load_model(folder / "mine.pth")
    with pytest.raises(ModelError, match="'mine' is unknown"):
        load_model("mine")


def test_user_folder_is_the_platform_s_without_an_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CWTNET_MODELS")
    assert user_model_folder().parts[-2:] == ("napari-cwtnet", "models")
