"""A day on a CUDA machine, gone through on the processor."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_cwtnet.model import load_model
from napari_cwtnet.training.degrade import DegradationMix, PatchMaker
from napari_cwtnet.training.recipe import load_recipe, shipped_recipes

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))

from gpu_day import pack as packing  # noqa: E402
from gpu_day.__main__ import main  # noqa: E402
from gpu_day.cutting import images_on, shrunk, stored, windows  # noqa: E402
from gpu_day.feed import Feed, make_pool  # noqa: E402
from gpu_day.stages import Day, train  # noqa: E402

CPU = torch.device("cpu")
HELD_OUT = {"osteosarcoma": "xA8-27422-x", "glomeruli_pas": "10169x", "camelyon/images": "10676x"}
SIDE = 272


def picture(seed: int, side: int = SIDE) -> Image.Image:
    """Soft blobs and fine grain, in colour."""
    random = np.random.default_rng(seed)
    blobs = Image.fromarray(random.integers(0, 256, (side // 8, side // 8, 3), np.uint8))
    soft = np.asarray(blobs.resize((side, side), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((soft + random.integers(-12, 13, soft.shape)).clip(0, 255).astype("u1"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small images of each source, one more where some are held out, packed."""
    folder = tmp_path_factory.mktemp("images")
    recipe = load_recipe(shipped_recipes()["cwtnet-lite-x2"])
    for number, source in enumerate(recipe.sources):
        (folder / source.folder).mkdir(parents=True)
        names = ["a", "b", *(n for f, n in HELD_OUT.items() if f == source.folder)]
        for place, name in enumerate(names):
            made = picture(10 * number + place, SIDE * 2**source.halvings)
            made.save(folder / source.folder / f"{name}.{'jpg' if number == 0 else 'png'}")
    target = folder / "packed.tar"
    assert main(["--pack", str(folder), "--data", str(target)]) == 0
    return target


def test_packed_images_come_out_as_they_are_used(packed: Path, tmp_path: Path) -> None:
    sources = load_recipe(shipped_recipes()["cwtnet-lite-x2"]).sources
    with make_pool(1) as pool:
        packing.unpack(packed, tmp_path, pool)
    for source in sources:
        for name in ("a", "b"):
            (before,) = (packed.parent / source.folder).glob(f"{name}.*")
            (after,) = (tmp_path / source.folder).glob(f"{name}.*")
            first, second = (np.asarray(Image.open(path)) for path in (before, after))
            if source.halvings:
                first = packing.shrink(first, 2)
            assert np.array_equal(first, second), after
    (sample,) = (tmp_path / "sample").iterdir()
    assert sample.suffix == ".svs"


def test_too_little_room_is_said(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = packed.parent / "small.tar"
    words = ["--pack", str(packed.parent), "--data", str(target), "--pack-size", "2"]
    assert main(words) == 1
    assert "raise --pack-size" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_device_makes_what_the_processor_makes(scale: int) -> None:
    """All but codec and noise, within two or three roundings that fall out otherwise."""
    mix = DegradationMix(jpeg=0, jpeg2000=0, twice=0, noise=0)
    maker = PatchMaker(mix, scale, 16)
    truths = [np.asarray(picture(n, 400)) for n in range(20)]
    drawn = [maker.draw((400, 400), np.random.default_rng(n)) for n in range(20)]
    assert len({each.resample for each in drawn}) == 4
    assert any(each.order is not None for each in drawn)
    window = windows(images_on(CPU, truths), drawn, maker.side)
    small = shrunk(window, [each.lr for each in drawn], scale)
    lr = stored(small, [each.lr for each in drawn], torch.Generator())
    for number, truth in enumerate(truths):
        wanted, _, pixels, _ = maker.make(truth, np.random.default_rng(number))
        cut = 8 * scale
        ours = window[number, :, cut:-cut, cut:-cut].permute(1, 2, 0).numpy()
        difference = np.abs(ours.astype(int) - pixels)
        assert difference.max() <= 1
        assert difference.mean() < 0.02
        difference = np.abs(lr[number, :, 8:-8, 8:-8].permute(1, 2, 0).numpy().astype(int) - wanted)
        assert difference.max() <= 2
        assert difference.mean() < 0.02


def test_noise_is_as_strong_as_it_was_drawn() -> None:
    made = PatchMaker(DegradationMix(noise=1, most_noise=3), 2, 16)
    degradations = [made.draw((64, 64), np.random.default_rng(n)).lr for n in range(3)]
    grey = torch.full((3, 3, 128, 128), 128.0)
    noisy = stored(grey, degradations, torch.Generator().manual_seed(0)).float()
    for each, pixels in zip(degradations, noisy, strict=True):
        assert float(pixels.std()) == pytest.approx((each.noise**2 + 1 / 12) ** 0.5, rel=0.05)


def test_feed_gives_the_same_batch_wherever_it_begins(packed: Path) -> None:
    from napari_cwtnet.training.fields import Field

    truth = np.asarray(picture(1))
    field = Field("one", truth[::4, ::4], truth[::2, ::2], truth)
    wanted = iter([5, 6, 7, 7])
    with make_pool(0) as pool:
        feeds = [
            Feed(
                [(1.0, [field])], scale=4, patch=16, mix=DegradationMix(), device=CPU, pool=pool,
                seed=3, number=lambda: next(wanted),
            )
            for _ in "ab"
        ]  # fmt: skip
        random = np.random.default_rng(0)
        *others, last = (feeds[0].batch(9, random) for _ in range(3))
        again = feeds[1].batch(9, random)
        for feed in feeds:
            feed.drop()
    assert random.random() == np.random.default_rng(0).random()
    assert last.lr.shape == (9, 3, 16, 16)
    assert last.reference.shape == (9, 3, 32, 32)
    assert last.truth.shape == (9, 3, 64, 64)
    for name in ("lr", "reference", "truth", "degradation"):
        assert torch.equal(getattr(last, name), getattr(again, name)), name
        assert not torch.equal(getattr(last, name), getattr(others[0], name)), name
    means = [float(images.mean()) for images in (last.lr, last.reference, last.truth)]
    assert max(means) - min(means) < 0.01


def test_without_cuda_it_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([]) == 1
    said = capsys.readouterr().err
    assert said == "No CUDA device; --rehearse runs everything here at toy size.\n"


def test_a_day_is_taken_up_and_gives_few_files(
    packed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The second call trains what the first was not asked to; minutes are the first's."""

    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)  # as it was, afterwards

    def call(*words: str) -> str:
        day = ["--rehearse", "--data", str(packed), "--output", str(tmp_path / "day")]
        assert main([*day, "--processes", "0", "--only", "train", *words]) == 0
        return capsys.readouterr().out

    first = call("--minutes", "0.06", "--scales", "2")
    assert "x2: step" in first
    second = call()
    assert "x2: step" not in second
    assert second.endswith("The day is over.\n")
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert len(files) <= 8
    assert max(path.stat().st_size for path in files.values()) <= 16 * 2**20
    record = json.loads(files["day.json"].read_text())
    assert record["runs"]["x2"]["step"] > 0
    for scale in (2, 4, 8):
        run = record["runs"][f"x{scale}"]
        assert run["over"]
        assert run["fed_alone_per_s"] > 0
        model = load_model(files[f"cwtnet-x{scale}.safetensors"])
        assert model.network.takes_degradation
        assert model.provenance["recipe"]["preset"] == "house"
    assert main(["--rehearse", "--output", str(tmp_path / "day"), "--minutes", "9"]) == 1


def test_a_run_that_is_broken_off_goes_on(packed: Path, tmp_path: Path) -> None:
    day = Day(tmp_path / "day", minutes=60, device=CPU, toy=True)
    with make_pool(0) as pool:
        packing.unpack(packed, tmp_path / "data", pool)
        first = train(day, 2, tmp_path / "data", pool, until=0.0)
        assert (first["step"], first["over"]) == (1, False)
        second = train(day, 2, tmp_path / "data", pool, until=0.0)
        assert (second["step"], second["steps_of_this_call"]) == (2, 1)
        train(day, 4, tmp_path / "data", pool, until=0.0)
    known = load_model(tmp_path / "day" / "x4" / "start.safetensors").provenance
    assert known["warm_start_of"]["name"] == "cwtnet-x2"
