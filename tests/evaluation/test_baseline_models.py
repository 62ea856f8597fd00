"""Baselines as models: saved, loaded, trained, enhanced with, measured, and not looked into."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from training.conftest import tiles, tiny_recipe

from evaluation.test_baselines import SMALL, TRAINED, built
from napari_cwtnet import enhance, open_slide
from napari_cwtnet.cli import main
from napari_cwtnet.enhancement import Engine, EnhanceRequest
from napari_cwtnet.errors import RequestError, TrainingError
from napari_cwtnet.evaluation import evaluate_images
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import capture, survey
from napari_cwtnet.metrics import psnr
from napari_cwtnet.model import load_model, save_weights
from napari_cwtnet.training.events import StepDone, Validation
from napari_cwtnet.training.recipe import Recipe, make_recipe
from napari_cwtnet.training.trainer import Trainer


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "field.png"
    Image.fromarray(tiles(3, 128)).save(path)
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "edsr-x2.safetensors"
    save_weights(path, built("edsr", "matched", 2, blocks=1, channels=8), {})
    return path


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", [*TRAINED, "bicubic"])
def test_saved_and_loaded_gives_the_same_image(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    network = built(name, "published", 4, skip="bicubic", **SMALL.get(name, {}))
    for value in network.state_dict().values():  # statistics of normalisation, too
        if value.is_floating_point():
            value.copy_((value + 0.02 * torch.rand_like(value)).to(dtype))
        else:
            value.fill_(100_000)  # batches seen, more than float16 can hold
    path = tmp_path / f"{name}.safetensors"
    save_weights(path, network, {}, dtype)
    model = load_model(path)
    assert model.config == network.config
    lr = torch.rand(1, 3, 9, 12)
    assert torch.equal(model.network(lr).sr, network.eval()(lr).sr)


def test_bicubic_model_enhances_to_the_bicubic_enlargement(tmp_path: Path, image: Path) -> None:
    path = tmp_path / "bicubic-x2.safetensors"
    save_weights(path, built("bicubic", "published", 2), {})
    measured = evaluate_images([image], load_model(path), device="cpu").means()
    assert measured["psnr"] == pytest.approx(measured["psnr_bicubic"], abs=0.05)  # tiles round


def test_a_slide_is_enhanced_and_says_by_what(weights: Path, image: Path) -> None:
    with open_slide(image) as slide:
        result = enhance(slide, slide.bounds, 2, model=load_model(weights), device="cpu")
        assert (result.mode, result.image.shape) == ("single-image", (128, 128, 3))
        assert "edsr-x2" in result.plan.badge
        truth = slide.read(slide.bounds, 1)
        assert psnr(result.image, truth) == pytest.approx(result.metrics.psnr, abs=1)
        with pytest.raises(RequestError, match="was not trained with a reference"):
            enhance(slide, slide.bounds, 2, model=load_model(weights), reference="next")


def test_command_line_evaluates_it_and_will_not_inspect_it(
    weights: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--images", str(image.parent), "--model", str(weights), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "edsr-x2"
    arguments = ["--region", "0,0,64,64", "--downsample", "2", "--model", str(weights)]
    assert main(["inspect", str(image), *arguments, "--output", str(tmp_path / "maps")]) == 2
    refusal = capsys.readouterr().err.strip()
    assert (
        "Model 'edsr-x2' is of the architecture edsr, which has no attention to inspect" in refusal
    )
    assert "\n" not in refusal
    assert not (tmp_path / "maps").exists()


def test_nothing_is_looked_into(weights: Path, image: Path) -> None:
    engine = Engine(load_model(weights), "cpu")
    request = EnhanceRequest(Region(0, 0, 64, 64), 2)
    with open_slide(image) as slide:
        for look in (capture, survey):
            with pytest.raises(RequestError, match="of the architecture edsr, which has no atten"):
                look(slide, engine, request)


@pytest.mark.parametrize("name", ["edsr", "swdnet"])
def test_thirty_steps_beat_bicubic_and_the_start(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "blocks"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(tiles(number)).save(folder / f"{number}.png")
    fields = {
        "architecture": name,
        "preset": "matched",
        "network": SMALL[name],
        "steps": 30,
        "validate_every": 15,
        "learning_rate": 5e-3,
        "batch": 4,
    }
    trainer = Trainer(tiny_recipe(**fields), tmp_path, tmp_path / "run")
    events = list(trainer.run())
    losses = [e.loss for e in events if isinstance(e, StepDone)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    last = [e for e in events if isinstance(e, Validation)][-1]
    assert last.psnr > last.psnr_bicubic + 0.5
    model = load_model(trainer.weights)
    assert model.config == trainer.recipe.network_config()
    assert Recipe.model_validate(model.provenance["recipe"]) == trainer.recipe


def test_recipe_takes_the_loss_and_size_of_the_paper_unless_told() -> None:
    fields = tiny_recipe().model_dump(exclude={"loss", "preset", "network", "architecture"})
    recipe = make_recipe(fields | {"architecture": "srcnn"}, "R")
    assert recipe.preset == "published"
    assert recipe.loss.pixel == "mse"
    assert (recipe.loss.sr, recipe.loss.wt, recipe.loss.sr_ssim) == (1, 0, 0)
    assert make_recipe(fields | {"architecture": "edsr"}, "R").loss.pixel == "l1"
    told = make_recipe(fields | {"architecture": "edsr", "loss": {"sr_ssim": 0.3}}, "R")
    assert (told.loss.sr, told.loss.sr_ssim) == (0.3, 0.3)
    own = make_recipe(fields, "R")
    assert (own.architecture, own.preset, own.loss.wt) == ("cwtnet", "lite", 0.7)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"architecture": "edrs"},
            "R: the file: Architecture 'edrs' is unknown; choose one of cwtnet, bicu",
        ),
        ({"reference_share": 0.5}, "R: reference_share: edsr takes no reference; give 0."),
        ({"preset": "lite"}, "R: preset 'lite' is unknown; choose one of published, "),
        ({"network": {"groups": 2}}, "R: network.groups: unknown field; choose one of"),
        (
            {"network": {"channels": 1}},
            "R: network.channels: 1 is given; give a number of at least",
        ),
        (
            {"architecture": "srcnn", "network": {"mapping_kernel": 4}},
            "R: network.mapping_kernel: 4 is given; give 1, 3, 5, 7 or 9",
        ),
        (
            {"architecture": "mwcnn", "network": {"widths": [64, 128, 256, 10**9]}},
            "R: network.widths.3: 1000000000 is given; give a number of at most 1024",
        ),
        (
            {"architecture": "bicubic", "preset": "published", "network": {"skip": "none"}},
            "R: network.skip: 'none' is given; give 'bicubic'",
        ),
    ],
)
def test_recipe_that_does_not_fit_is_refused(changes: dict[str, object], words: str) -> None:
    fields = tiny_recipe().model_dump(exclude={"preset", "network"})
    with pytest.raises(TrainingError) as caught:
        make_recipe(fields | {"architecture": "edsr"} | changes, "R")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_page_s_recipe_is_one() -> None:
    page = Path(__file__).parents[2] / "docs/reference/architectures.md"
    (text,) = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    recipe = make_recipe(yaml.safe_load(text), "The page's recipe")
    assert recipe.network_config().model_dump()["blocks"] == 12
    assert recipe.adversarial is not None
    assert recipe.adversarial.after == 2000
