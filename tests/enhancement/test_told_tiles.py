"""What a model learns of a slide, and that tiles computed by other knowledge are not reused."""

from __future__ import annotations

import numpy as np

from napari_cwtnet.enhancement import Engine, EnhanceRequest, make_plan
from napari_cwtnet.model import load_model
from napari_cwtnet.slides.array_slide import ArraySlide
from napari_cwtnet.slides.degradation import Compression, Degradation, Kernel
from napari_cwtnet.slides.degrade import degrade

BOX_JPEG = Degradation.parse("box+jpeg50")


def test_jpeg_2000_is_kept_from_the_model() -> None:
    """Knowing it makes results on real slides worse: decision 0016."""
    truth = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    engine = Engine(load_model("cwtnet-lite-x2"), "cpu")
    box = Kernel("box")
    for codec, passed_on in (
        (Compression("jpeg", 50, "420"), Compression("jpeg", 50, "420")),
        (Compression("jpeg2000", rate=1.6), None),
    ):
        known = Degradation(box, 0.0, None, codec)
        with ArraySlide({1: truth, 2: degrade(truth, known)}, {2: known}) as slide:
            plan = make_plan(slide, engine.model, EnhanceRequest(slide.bounds, 2))
            lr, _ = engine.known(slide, plan)
        assert lr.kernel == box
        assert lr.compression == passed_on


def test_the_same_pixels_told_otherwise_are_computed_again() -> None:
    truth = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    images = {1: truth, 2: degrade(truth, BOX_JPEG)}
    engine = Engine(load_model("cwtnet-lite-x2"), "cpu")
    found = []
    with ArraySlide(images, {2: BOX_JPEG.without("kernel", "sharpening")}) as slide:
        for sharpness in ("auto", "soft", "auto"):
            request = EnhanceRequest(slide.bounds, 2, sharpness=sharpness)
            found.append(list(engine.run(slide, make_plan(slide, engine.model, request))))
    assert [[tile.cached for tile in tiles] for tiles in found] == [[False], [False], [True]]
    assert not np.array_equal(found[0][0].sr, found[1][0].sr)
    assert np.array_equal(found[0][0].sr, found[2][0].sr)
