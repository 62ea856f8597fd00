from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from slides.pattern import write_tiff

from napari_cwtnet.plugin.viewer.slide_layer import degradation_text, jumps
from napari_cwtnet.slides import open_slide


def test_levels_that_are_alike_share_a_line(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", compression="jpeg", compressionargs={"level": 80})
    with open_slide(path) as slide:
        lines = degradation_text(slide).splitlines()
        said = [str(level.degradation) for level in slide.levels]
    assert lines[0].startswith("1")
    assert lines[0].endswith(f": {said[0]}")
    assert len(lines) == 1 + sum(a != b for a, b in itertools.pairwise(said))
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
    assert all("set µm/px" in jump.explanation for jump in jumps(None))
    assert [jump.text for jump in jumps(None)] == ["5×", "10×", "20×", "40×"]
