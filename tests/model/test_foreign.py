"""Weights of other projects: by spandrel, marked as foreign, or refused with what is missing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from napari_cwtnet import enhance, open_slide
from napari_cwtnet.errors import ModelError
from napari_cwtnet.model import load_model

try:
    import spandrel
except (ImportError, RuntimeError):  # RuntimeError: torchvision does not fit torch
    spandrel = None

needs_spandrel = pytest.mark.skipif(spandrel is None, reason="spandrel cannot be imported")


def compact(scale: int, colours: int = 3) -> Any:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(0)
    return SRVGGNetCompact(
        num_in_ch=colours, num_out_ch=colours, upscale=scale, num_feat=8, num_conv=2
    )


def written(folder: Path, tensors: dict[str, Any]) -> Path:
    path = folder / "theirs.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, {"format": "pt"})
    return path


@pytest.mark.skipif(spandrel is not None, reason="spandrel is installed")
def test_without_spandrel_it_is_said_what_to_install(tmp_path: Path) -> None:
    path = written(tmp_path, {"body.0.weight": torch.zeros(3)})
    with pytest.raises(ModelError) as caught:
        load_model(path)
    message = str(caught.value)
    assert "not a CWT-Net: format 'pt', wanted 'cwtnet-1'; choose another file, or inst" in message
    assert "\n" not in message


@needs_spandrel
def test_it_enhances_as_itself_and_is_marked(tmp_path: Path) -> None:
    theirs = compact(4).eval()
    model = load_model(written(tmp_path, theirs.state_dict()))
    assert (model.name, model.scale, model.takes_reference) == ("theirs (foreign)", 4, False)
    assert model.provenance == {"foreign": "RealESRGAN Compact, read by spandrel"}
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "field.png")
    with open_slide(tmp_path / "field.png") as slide:
        result = enhance(slide, slide.bounds, 1, model=model, device="cpu")
    assert "theirs (foreign)" in result.plan.badge
    with torch.inference_mode():
        lr = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        sr = theirs(lr)[0].clamp(0, 1).mul(255).round().permute(1, 2, 0).numpy()
        assert torch.equal(copy.deepcopy(model.network)(lr).sr, model.network(lr).sr)
    assert np.abs(result.image.astype(float) - sr).max() <= 1


@needs_spandrel
@pytest.mark.parametrize(
    ("scale", "colours", "words"),
    [(3, 3, "but RealESRGAN Compact, and no ×2, ×4 or ×8"), (2, 1, "Compact, and not of RGB")],
)
def test_it_must_fit(tmp_path: Path, scale: int, colours: int, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        load_model(written(tmp_path, compact(scale, colours).state_dict()))


@needs_spandrel
def test_what_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="spandrel does not know them either"):
        load_model(written(tmp_path, {"x": torch.zeros(2)}))
