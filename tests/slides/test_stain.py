"""What a picture is stained with, on real slides and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.stain import stain_in, stain_of


@pytest.mark.parametrize(
    ("name", "stain"),
    [
        ("cmu1_small_svs/CMU-1-Small-Region.svs", "light"),
        ("prostate_pyramid_tiff/slide.tiff", "light"),
        ("os2_ometiff/OS-2-ndpi.ome.tif", "brown"),
        ("os2_ometiff/OS-2-vsi.ome.tif", "brown"),
        ("stritt_ndpi/test3-DAPI-2-387.ndpi", "fluorescence"),
        ("stritt_ndpi/test3-TRITC-2-560.ndpi", "fluorescence"),
    ],
)
def test_stains_of_real_slides(data_dir: Path, name: str, stain: str) -> None:
    with open_slide(data_dir / "slides" / name) as slide:
        assert stain_of(slide) == stain


@pytest.mark.parametrize(
    "folder",
    ["bcss", "brecahad", "camelyon", "glomeruli_pas", "ocdc", "oscc400", "osteosarcoma"],
)
def test_images_of_haematoxylin_and_eosin_or_pas_are_none_of_the_others(
    data_dir: Path, folder: str
) -> None:
    paths = [
        path
        for path in sorted((data_dir / "train" / folder).rglob("*"))
        if path.suffix.lower() in {".png", ".jpg", ".tif"} and "mask" not in str(path)
    ]
    assert paths
    for path in paths[:4]:
        with open_slide(path) as slide:
            assert stain_of(slide) == "light", path


def test_small_fields_of_seven_tissues_are_none_of_the_others(data_dir: Path) -> None:
    paths = sorted((data_dir / "classify" / "crc_val").glob("*.jpg"))
    found: dict[Any, int] = {}
    for path in paths:
        with Image.open(path) as image:
            stain = stain_in(np.asarray(image.convert("RGB")))
        found[stain] = found.get(stain, 0) + 1
    assert set(found) <= {"light", "none"}
    assert found["light"] > 0.8 * len(paths)


def test_glass_has_no_stain() -> None:
    assert stain_in(np.full((20, 20, 3), 240, np.uint8)) == "none"
    assert stain_in(np.zeros((0, 5, 3), np.uint8)) == "none"
