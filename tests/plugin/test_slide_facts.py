from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from slides.pattern import write_tiff

from napari_cwtnet.export.pyramid import halve
from napari_cwtnet.plugin.viewer.slide_layer import degradation_text, jumps
from napari_cwtnet.slides import open_slide


def test_levels_that_are_alike_share_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    level = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3)).astype(np.uint8)
    with tifffile.TiffWriter(path) as writer:
        for number in range(3):
            kind = {"photometric": "rgb", "tile": (256, 256), "subfiletype": int(number > 0)}
            writer.write(level, compression="jpeg", compressionargs={"level": 95}, **kind)
            level = halve(level)
    with open_slide(path) as slide:
        lines = degradation_text(slide).splitlines()
        first, *coarser = (str(one.degradation) for one in slide.levels)
    assert coarser == ["2×2 mean · JPEG 95, 4:2:0"] * 2
    assert lines == [f"1: {first}", f"2–4: {coarser[0]}"]
    with open_slide(write_tiff(tmp_path / "b.tif", (1,))) as slide:
        assert degradation_text(slide) == "lossless"


@pytest.mark.parametrize(
    ("mpp", "native"),
    [(0.25, "5 10 20 40"), (0.274, "5 10 20 40"), (0.28, "5 10 20"), (0.5, "5 10 20"), (2.3, "")],
)
def test_native_is_what_the_slide_has_within_ten_per_cent(mpp: float, native: str) -> None:
    assert " ".join(str(jump.label) for jump in jumps(mpp) if jump.native) == native
    assert all(("finer than the slide" in j.explanation) != j.native for j in jumps(mpp))


def test_no_jump_without_a_pixel_size() -> None:
    assert [jump.pixel for jump in jumps(None)] == [None] * 4
    assert all("scanned at" in jump.explanation for jump in jumps(None))
    assert [jump.text for jump in jumps(None)] == ["5×", "10×", "20×", "40×"]
