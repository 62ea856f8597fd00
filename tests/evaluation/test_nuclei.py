"""Nuclei are where they were painted, and their comparison is that of a count by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.color import hed2rgb

from napari_cwtnet.cli import main
from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation import Nuclei, compare_nuclei, evaluate_images, find_nuclei
from napari_cwtnet.model import load_model

CENTRES = [(30, 30), (30, 90), (60, 140), (100, 40), (110, 100), (150, 150), (160, 60)]
RADIUS = 8
"""Pixels of 0.5 µm."""


def painted(
    centres: list[tuple[int, int]], radius: float = RADIUS, haematoxylin: float = 0.2
) -> NDArray[np.uint8]:
    """Round nuclei on pink ground with some noise, 192² pixels."""
    rows, columns = np.mgrid[:192, :192]
    density = np.random.default_rng(0).normal(0.01, 0.003, (192, 192, 3))
    density[..., 1] += 0.08
    for y, x in centres:
        density[np.hypot(rows - y, columns - x) <= radius, 0] = haematoxylin
    return np.uint8(np.clip(hed2rgb(density), 0, 1) * 255)


def nuclei_in(image: NDArray[np.uint8]) -> Nuclei:
    return find_nuclei(image, 0.5)


def centres_of(nuclei: Nuclei) -> NDArray[np.float64]:
    return np.array(
        [np.argwhere(nuclei.labels == n).mean(0) for n in range(1, nuclei.count + 1)]
    ).reshape(-1, 2)


def distances(found: NDArray[np.float64], wanted: list[tuple[int, int]]) -> NDArray[np.float64]:
    """Of each wanted centre to the nearest found."""
    return np.hypot(*(np.array(wanted)[:, None] - found[None]).transpose(2, 0, 1)).min(1)


def test_nuclei_are_where_they_were_painted() -> None:
    nuclei = nuclei_in(painted(CENTRES))
    assert nuclei.count == len(CENTRES)
    assert distances(centres_of(nuclei), CENTRES).max() < 1
    assert nuclei.areas == pytest.approx(np.pi * RADIUS**2, rel=0.15)
    assert set(np.unique(nuclei.labels)) == set(range(len(CENTRES) + 1))


def test_nuclei_that_touch_are_two() -> None:
    pair = [(90, 90), (90, 104)]
    nuclei = nuclei_in(painted(pair))
    assert nuclei.count == 2
    assert distances(centres_of(nuclei), pair).max() < 2


@pytest.mark.parametrize("mpp", [0.25, 1.0])
def test_sizes_are_in_micrometres(mpp: float) -> None:
    image = Image.fromarray(painted(CENTRES))
    side = round(192 * 0.5 / mpp)
    scaled = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
    nuclei = find_nuclei(scaled, mpp)
    assert nuclei.count == len(CENTRES)
    assert nuclei.areas * mpp**2 == pytest.approx(np.pi * (RADIUS * 0.5) ** 2, rel=0.25)


def test_tissue_without_nuclei_and_glass_have_none() -> None:
    assert nuclei_in(painted([])).count == 0
    assert nuclei_in(np.full((64, 64, 3), 240, np.uint8)).count == 0


def test_specks_are_no_nuclei() -> None:
    assert nuclei_in(painted(CENTRES, radius=2.5)).count == 0


def test_a_moved_a_missing_and_an_added_nucleus() -> None:
    truth = nuclei_in(painted(CENTRES))
    moved = [(30, 30 + RADIUS), *CENTRES[1:-1], (20, 160), (180, 20)]
    agreement = compare_nuclei(nuclei_in(painted(moved)), truth)
    # 5 stay; one is moved by a radius, so that the union is twice what both share; one is gone
    assert (agreement.truth, agreement.found, agreement.matched) == (7, 8, 5)
    assert agreement.f1 == pytest.approx(2 * 5 / 15)
    assert agreement.count_error == pytest.approx(1 / 7)
    assert agreement.area_bias == pytest.approx(0, abs=0.02)
    twice = agreement + agreement
    assert (twice.truth, twice.f1, twice.count_error) == (14, agreement.f1, agreement.count_error)


def test_counts_that_are_wrong_both_ways_do_not_cancel() -> None:
    truth, fewer = nuclei_in(painted(CENTRES)), nuclei_in(painted(CENTRES[:5]))
    both = compare_nuclei(fewer, truth) + compare_nuclei(truth, fewer)
    assert both.found == both.truth == 12
    assert both.count_error == pytest.approx(4 / 12)


def test_larger_and_paler_nuclei() -> None:
    truth = nuclei_in(painted(CENTRES))
    agreement = compare_nuclei(nuclei_in(painted(CENTRES, 9, 0.15)), truth)
    assert agreement.f1 == 1
    assert agreement.area_bias == pytest.approx((9 / 8) ** 2 - 1, abs=0.08)
    assert agreement.haematoxylin_bias == pytest.approx(0.15 / 0.2 - 1, abs=0.05)


def test_nothing_in_either() -> None:
    none = nuclei_in(painted([]))
    agreement = compare_nuclei(none, none)
    assert agreement.as_dict() == {
        "found": 0, "f1": None, "count_error": None, "area_bias": None, "haematoxylin_bias": None,
    }  # fmt: skip


def test_an_image_that_is_the_truth_agrees_with_it_and_shares_are_real(data_dir) -> None:
    with Image.open(data_dir / "train/glomeruli_pas/10172.png") as file:
        image = np.asarray(file.convert("RGB"))[256:768, 256:768]
    truth = find_nuclei(image, 0.5)
    # Those of this field, counted by eye, are between 150 and 250.
    assert 150 < truth.count < 250
    same = compare_nuclei(truth, truth)
    assert (same.f1, same.count_error, same.area_bias, same.haematoxylin_bias) == (1, 0, 0, 0)
    small = Image.fromarray(image).resize((64, 64), Image.Resampling.BOX)
    blurred = np.asarray(small.resize((512, 512), Image.Resampling.BICUBIC))
    worse = compare_nuclei(find_nuclei(blurred, 0.5), truth)
    assert worse.f1 is not None
    assert worse.f1 < 0.7


def test_every_image_has_figures_and_the_report_their_sum(tmp_path: Path, capsys) -> None:
    for name, centres in (("a", CENTRES), ("b", CENTRES[:4])):
        Image.fromarray(painted(centres)).save(tmp_path / f"{name}.png")
    main(["evaluate", "--images", str(tmp_path), "--model", "cwtnet-lite-x4", "--nuclei",
          "--reference", "next", "--device", "cpu", "--json"])  # fmt: skip
    report = json.loads(capsys.readouterr().out)
    assert [row["picture"] for row in report["nuclei"]] == [
        "truth", "sr", "bicubic", "reference_bicubic",
    ]  # fmt: skip
    assert report["nuclei"][0]["found"] == 11
    assert "at 0.5 µm per pixel" in report["nuclei_method"]
    counts = [image["nuclei"][0]["found"] for image in report["per_image"]]
    assert counts == [7, 4]
    assert all(row["f1"] == 1 for row in report["nuclei"][1:])
    main(["evaluate", "--images", str(tmp_path), "--model", "cwtnet-lite-x2", "--nuclei", "0.5",
          "--device", "cpu"])  # fmt: skip
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    first = lines.index(["nuclei"]) + 1
    assert lines[first][:4] == ["picture", "found", "f1", "count_error"]
    assert lines[first + 1] == ["truth", "11"]
    assert lines[first + 2][:4] == ["sr", "11", "1", "0"]
    images = lines.index(["per_image"]) + 1
    assert lines[images] == ["name", "psnr", "ssim", "psnr_bicubic", "ssim_bicubic"]


def test_without_scikit_image_nothing_is_computed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    Image.fromarray(painted(CENTRES)).save(tmp_path / "a.png")
    model = load_model("cwtnet-lite-x2")
    with pytest.raises(RequestError, match=r"napari-cwtnet\[evaluation\]"):
        evaluate_images([tmp_path / "a.png"], model, nuclei_mpp=0.5)


@pytest.mark.parametrize("mpp", [0, -1, float("nan"), float("inf")])
def test_a_pixel_size_that_is_none(mpp: float) -> None:
    with pytest.raises(RequestError, match="give a number above 0"):
        find_nuclei(painted(CENTRES), mpp)
