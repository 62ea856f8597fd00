"""Calibrate the expected error on a slide: which parts of a result to mark, and with what promise.

The model enhances fields of this slide whose truth the slide holds, from pixels made as its own
levels are. In each field, a share of the area is wrong by more than so many grey levels and was not
marked. The mark's threshold is chosen so that this share keeps within its limit in so many fields
of ten, counting a field that nobody has seen (split conformal prediction; Angelopoulos and Bates,
arXiv 2107.07511, applied to each field's own critical threshold). Fields are what is exchanged,
never pixels: neighbouring pixels are no independent trials.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import platformdirs
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine, EnhanceRequest, Plan, make_plan
from napari_cwtnet.enhancement import truth as slide_truth
from napari_cwtnet.enhancement.check import refuse_computed, tissue_fields
from napari_cwtnet.enhancement.input_origin import read_input
from napari_cwtnet.enhancement.plan import ReferenceChoice
from napari_cwtnet.errors import RequestError
from napari_cwtnet.files import read_file, written_whole
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection.field import Field, Floats
from napari_cwtnet.inspection.maps import Map
from napari_cwtnet.inspection.trust import (
    coarser_field,
    enhanced,
    expected_error,
    octaves_to_truth,
)
from napari_cwtnet.model import Model
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.backend import Pixels

SQUARE = 8
"""Side of the squares that are marked, SR pixels."""
MARKED = "marked"
"""Name of the map of marked squares."""
FIELDS = 12
FIELD_SIDE = 384
"""Side of a field, pixels of the truth."""
_VARIABLE = "CWTNET_CONFIG"
_VERSION = 1
"""Of how the expected error and the threshold are computed."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Outside the marked parts, at most ``area`` is wrong, in ``share`` of further fields.

    The share is a mean over calibrations: that of a single one, on twelve fields, may be lower.
    """

    wrong: float = 12.0
    """Grey levels, mean over RGB and a square of 8 × 8 pixels, beyond which a square is wrong."""
    area: float = 0.05
    """Largest share of a field that may be wrong and not marked."""
    share: float = 0.9
    """Share of fields that keep within it."""

    @property
    def least_fields(self) -> int:
        """Fields without which nothing can be promised.

        >>> Promise().least_fields
        9
        """
        return math.ceil(1 / (1 - self.share) - 1e-9) - 1

    @property
    def words(self) -> str:
        """The promise, as the rest of a sentence."""
        return (
            f"outside the marked parts, at most {100 * self.area:g} % of the area is wrong by more "
            f"than {self.wrong:g} grey levels in {10 * self.share:g} of 10 further fields"
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """The threshold of the mark, and what it was measured on."""

    threshold: float | None
    """Expected error in grey levels from which a square is marked, at most ``promise.wrong``; None
    where there are too few fields to promise anything."""
    promise: Promise
    fields: int
    """Number of fields measured."""
    octaves: int
    """Octaves by which they are coarser than what is marked; 0 where the slide holds the truth."""
    downsample: float
    """Of their LR."""
    degradation: str
    """Of their LR, in words."""
    marked: float
    """Mean share of their area that the threshold marks."""
    model_sha256: str
    slide_fingerprint: str
    mode: str

    @property
    def sentence(self) -> str:
        """What it promises, or that it cannot."""
        if self.threshold is None:
            return (
                f"Not calibrated: {self.fields} fields with tissue, {self.promise.least_fields} "
                "are needed; nothing is promised."
            )
        where = {0: "this", 1: "half this", 2: "a quarter of this", 3: "an eighth of this"}
        octaves = where.get(self.octaves, f"1/{2**self.octaves} of this")
        said = (
            f"Measured on {self.fields} fields of this slide at {octaves} magnification: "
            f"{self.promise.words}."
        )
        return f"{said} At this magnification nothing can be measured." if self.octaves else said

    def mark(self, expected: Floats, scale: int) -> NDArray[np.bool_]:
        """The squares of a result to mark.

        Parameters
        ----------
        expected : ndarray
            Expected error ``(h, w)`` on the LR grid, grey levels.
        scale : int
            SR pixels per LR pixel.

        Returns
        -------
        ndarray
            One value a square of 8 × 8 SR pixels; all marked where nothing is promised.
        """
        threshold = -math.inf if self.threshold is None else self.threshold
        return ~(in_squares(expected, SQUARE // scale) < threshold)  # what is not known is marked

    def as_dict(self) -> dict[str, Any]:
        """As JSON values, with the sentence."""
        return asdict(self) | {"sentence": self.sentence}

    def record_of(self, squares: NDArray[np.bool_] | None) -> dict[str, Any]:
        """As JSON values, with the share of one result that is marked; None where nothing is."""
        share = None if squares is None else round(float(squares.mean()), 4)
        return self.as_dict() | {"marked_here": share}

    @classmethod
    def from_dict(cls, known: Any) -> Self:
        """Of what :meth:`as_dict` gave.

        Raises
        ------
        ValueError
            If a value is missing or of another kind.
        """
        if not isinstance(known, dict):
            raise ValueError("no calibration: not an object of JSON")
        values = {name: value for name, value in known.items() if name != "sentence"}
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            raise ValueError(f"no calibration: {error.errors()[0]['msg']}") from error


def in_squares(values: Floats, side: int) -> NDArray[np.float64]:
    """Means over squares of ``side × side``; those at the edge over what there is of them."""
    height, width = values.shape
    rows, columns = -(-height // side), -(-width // side)
    sums, counts = np.zeros((2, rows * side, columns * side))
    sums[:height, :width], counts[:height, :width] = values, 1
    in_blocks = (rows, side, columns, side)
    total = sums.reshape(in_blocks).sum((1, 3)) / counts.reshape(in_blocks).sum((1, 3))
    return np.asarray(total)


def in_pixels(squares: NDArray[np.bool_], height: int, width: int) -> NDArray[np.uint8]:
    """Marked squares as a mask ``(height, width)`` of SR pixels: 1 where marked."""
    rows = squares.astype(np.uint8).repeat(SQUARE, 0)[:height]
    return rows.repeat(SQUARE, 1)[:, :width]


def chosen_threshold(critical: Sequence[float], promise: Promise) -> float | None:
    """The threshold that keeps within the limit in a share of fields; None with too few.

    Of n fields and one more, exchangeable with them, that one's critical threshold is the k-th
    smallest or below with a chance of k / (n + 1) at most. What is expected to be wrong is marked
    in any case, also on a slide where the model was never wrong: a lower threshold misses no more.

    >>> chosen_threshold([5.0, 7.0, 6.0, 9.0, 8.0, 4.0, 9.5, 10.0, 11.0], Promise())
    4.0
    >>> chosen_threshold([math.inf] * 12, Promise())
    12.0
    >>> chosen_threshold([5.0, 7.0], Promise()) is None
    True
    """
    rank = int((len(critical) + 1) * (1 - promise.share) + 1e-9)
    return min(sorted(critical)[rank - 1], promise.wrong) if rank else None


@dataclass(frozen=True, slots=True)
class MeasuredField:
    """A field whose truth is known, in squares of 8 × 8 SR pixels."""

    expected: NDArray[np.float64]
    """Expected error of each, grey levels."""
    wrong: NDArray[np.bool_]
    """Whether its true error is beyond what is promised."""
    degradation: str
    """Of LR, in words."""

    def missed(self, threshold: float) -> float:
        """Share of the area that is wrong and not marked."""
        return float(((self.expected < threshold) & self.wrong).mean())

    def marked(self, threshold: float) -> float:
        """Share of the area that is marked."""
        return float((self.expected >= threshold).mean())

    def critical(self, area: float) -> float:
        """The largest threshold at which no more than a share of the area is missed."""
        allowed = int(area * self.expected.size + 1e-9)
        missed = np.sort(self.expected[self.wrong])
        return float(missed[allowed]) if missed.size > allowed else math.inf


def check_calibratable(slide: Slide, model: Model, plan: Plan) -> None:
    """Refuse, before anything is computed, what cannot be calibrated.

    Raises
    ------
    RequestError
        If the slide is itself computed, the model is given the answer, or does not predict its
        error.
    """
    refuse_computed(slide)
    if plan.mode == "oracle":
        raise RequestError("In oracle mode the model sees the answer; there is nothing to promise.")
    if not model.network.predicts_error:
        raise RequestError(
            f"Model {model.name!r} does not predict its error; choose one that does, such as a "
            "shipped one for use."
        )


def calibrate(
    slide: Slide,
    engine: Engine,
    plan: Plan,
    *,
    fields: int = FIELDS,
    promise: Promise | None = None,
    cancel: CancelToken | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Choose the threshold of the mark for results of one kind on one slide.

    Parameters
    ----------
    slide : Slide
        Open.
    engine : Engine
        The model on its device.
    plan : Plan
        Of a result: its downsample, mode and sharpness are taken over.
    fields : int
        Number of fields with tissue, drawn at random: what is promised of other fields must not
        rest on the choice of these.
    promise : Promise, optional
        What to promise.
    cancel : CancelToken, optional
        Stops the work within one tile.
    progress : callable, optional
        Called after each field with the number of fields done and the total.

    Raises
    ------
    RequestError
        As :func:`check_calibratable`.
    SlideError, ModelError
        If the slide or the model cannot be used.
    CancelledError
        If ``cancel`` was called.
    """
    check_calibratable(slide, engine.model, plan)
    promise = promise or Promise()
    octaves = octaves_to_truth(plan)
    downsample = plan.downsample * 2**octaves
    regions = tissue_fields(slide, downsample / plan.scale, fields, FIELD_SIDE, at_random=True)
    measured: list[MeasuredField] = []
    for done, region in enumerate(regions, start=1):
        measured.append(measure_field(slide, engine, plan, region, promise, cancel=cancel))
        if progress is not None:
            progress(done, len(regions))
    threshold = chosen_threshold([one.critical(promise.area) for one in measured], promise)
    marked = [1.0 if threshold is None else one.marked(threshold) for one in measured]
    return Calibration(
        threshold=threshold,
        promise=promise,
        fields=len(regions),
        octaves=octaves,
        downsample=downsample,
        degradation=measured[-1].degradation,
        marked=float(np.mean(marked)),
        model_sha256=engine.model.sha256,
        slide_fingerprint=slide.fingerprint,
        mode=plan.mode,
    )


def measure_field(
    slide: Slide,
    engine: Engine,
    plan: Plan,
    region: Region,
    promise: Promise,
    *,
    cancel: CancelToken | None = None,
) -> MeasuredField:
    """Enhance one field whose truth the slide holds.

    Parameters
    ----------
    slide, engine, plan, promise, cancel
        As :func:`calibrate` takes them.
    region : Region
        Level-0 pixels.

    Raises
    ------
    SlideError, ModelError, CancelledError
        As :func:`calibrate`.
    """
    octaves = octaves_to_truth(plan)
    if octaves:
        with coarser_field(slide, engine, plan, region, octaves) as (pyramid, coarser):
            return _squares(pyramid, engine, coarser, promise, cancel)
    reference: ReferenceChoice = "none" if plan.mode == "single-image" else "next"
    request = EnhanceRequest(region, plan.downsample, reference, sharpness=plan.sharpness)
    own = make_plan(slide, engine.model, request)
    return _squares(slide, engine, own, promise, cancel)


def _squares(
    slide: Slide,
    engine: Engine,
    plan: Plan,
    promise: Promise,
    cancel: CancelToken | None,
) -> MeasuredField:
    canvas = enhanced(slide, engine, plan, cancel)
    lr = read_input(slide, plan, plan.region, plan.downsample)
    expected = expected_error(canvas.image, lr, canvas.error, engine.known(slide, plan)[0].kernel)
    truth = slide_truth(slide, plan)
    if truth is None:
        raise AssertionError("a field to measure has its truth")
    size = np.abs(canvas.image.astype(np.float32) - truth).mean(-1)
    return MeasuredField(
        in_squares(expected, SQUARE // plan.scale),
        in_squares(size, SQUARE) > promise.wrong,
        str(slide.degradation(plan.downsample)),
    )


def kept_calibration(slide: Slide, engine: Engine, plan: Plan) -> Calibration | None:
    """The calibration of earlier for results of this kind on this slide; None where there is none.

    A file that cannot be read, or holds something else, counts as none.
    """
    path = _path(slide, engine, plan)
    try:
        found = Calibration.from_dict(json.loads(read_file(path)))
    except (OSError, ValueError, RecursionError):
        return None
    own = (slide.fingerprint, engine.model.sha256, plan.mode)
    return found if (found.slide_fingerprint, found.model_sha256, found.mode) == own else None


def calibrated(
    slide: Slide,
    engine: Engine,
    plan: Plan,
    *,
    cancel: CancelToken | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """The calibration that was kept, else a new one, which is then kept; see :func:`calibrate`."""
    found = kept_calibration(slide, engine, plan)
    if found is None:
        found = calibrate(slide, engine, plan, cancel=cancel, progress=progress)
        keep_calibration(slide, engine, plan, found)
    return found


def marked_squares(
    slide: Slide,
    engine: Engine,
    plan: Plan,
    image: Pixels,
    calibration: Calibration,
    *,
    error: Floats | None,
) -> NDArray[np.bool_]:
    """The squares of an enhanced image that are marked.

    Parameters
    ----------
    slide, engine, plan
        What was enhanced, and how.
    image : ndarray
        SR ``(height, width, 3)`` uint8.
    calibration : Calibration
        Of this slide and kind of result.
    error : ndarray, optional
        The predicted error ``(h, w)`` on the LR grid, grey levels.

    Raises
    ------
    SlideError
        If the slide can no longer be read.
    """
    columns, rows = plan.lattice.size
    d = plan.downsample
    whole = Region(plan.region.x, plan.region.y, columns * d, rows * d)
    lr = read_input(slide, plan, whole, d)
    kernel = engine.known(slide, plan)[0].kernel
    return calibration.mark(expected_error(image, lr, error, kernel), plan.scale)


def marked_in(field: Field, calibration: Calibration) -> NDArray[np.bool_]:
    """The squares of a field that are marked."""
    expected = expected_error(field.sr, field.lr, field.error, field.kernel)
    return calibration.mark(expected, field.plan.scale)


def marked_map(field: Field, calibration: Calibration) -> Map:
    """The squares of a field that are marked, as a map of 0 and 1."""
    squares = marked_in(field, calibration)
    plan, (rows, columns) = field.plan, squares.shape
    side = SQUARE * plan.output_downsample
    return Map(
        name=MARKED,
        title="Do not rely on",
        meaning=f"White: not to be relied on. {calibration.sentence}",
        unit="marked",
        values=squares.astype(np.float32),
        low=0.0,
        high=1.0,
        palette="grey",
        region=Region(plan.region.x, plan.region.y, columns * side, rows * side),
        downsample=side,
    )


def keep_calibration(slide: Slide, engine: Engine, plan: Plan, found: Calibration) -> None:
    """Keep a calibration for later sessions; one that cannot be written is measured again then."""
    path = _path(slide, engine, plan)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as partial:
            partial.write_text(json.dumps(found.as_dict(), ensure_ascii=False), encoding="utf-8")


def _path(slide: Slide, engine: Engine, plan: Plan) -> Path:
    """Named by all that the figures depend on."""
    kind = [
        _VERSION, slide.fingerprint, slide.icc, engine.model.sha256, str(engine.dtype),
        engine.skip_background, plan.mode, plan.downsample, plan.sharpness, FIELDS, FIELD_SIDE,
        asdict(Promise()),
    ]  # fmt: skip
    name = hashlib.sha256(json.dumps(kind).encode()).hexdigest()[:32]
    chosen = os.environ.get(_VARIABLE)
    folder = Path(chosen) if chosen else Path(platformdirs.user_config_dir("napari-cwtnet"))
    return folder / "calibrations" / f"{name}.json"
