from __future__ import annotations

import doctest

import pytest

from napari_cwtnet.plugin import pyramid, slide_facts
from napari_cwtnet.plugin.slide_facts import jumps


@pytest.mark.parametrize("module", [pyramid, slide_facts])
def test_examples(module) -> None:
    assert doctest.testmod(module).failed == 0


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
