"""Pictures have letters, not empty boxes, whatever the font."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont

from napari_cwtnet.export.inspection_report import image_picture
from napari_cwtnet.export.lettering import font_of, plain, wrapped
from napari_cwtnet.geometry import Region

SYSTEM, OWN = font_of(13), ImageFont.load_default(13)


@pytest.mark.parametrize("font", [SYSTEM, OWN])
def test_no_character_is_an_empty_box(font) -> None:
    box = bytes(font.getmask("\uffff"))
    for character in "µ×—−≤′·":
        assert bytes(font.getmask(plain(character, font))) != box


@pytest.mark.parametrize("font", [SYSTEM, OWN])
def test_lines_fit(font) -> None:
    lines = wrapped("20× from 5× · 0.50 µm/px — " * 9, font, 200)
    assert len(lines) > 3
    assert all(font.getlength(line) <= 200 for line in lines)


@pytest.mark.skipif(plain("×", SYSTEM) != "×", reason="Pillow's own font has no ×")
def test_a_map_says_times_and_micrometres() -> None:
    image, place = np.zeros((64, 64, 3), np.uint8), (Region(0, 0, 64, 64), 0.25)
    pictures = [image_picture(image, title, "", place) for title in ("20× of µm", "20x of um")]
    assert not np.array_equal(*pictures)
