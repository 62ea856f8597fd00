"""How far to trust a field, as maps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import (
    Canvas,
    Engine,
    EnhanceRequest,
    Plan,
    Quality,
    make_plan,
    measure,
)
from napari_cwtnet.enhancement.input_origin import input_origins
from napari_cwtnet.enhancement.plan import KERNELS, ReferenceChoice
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection.attention import attention
from napari_cwtnet.inspection.field import Field, Floats, Part, check_model
from napari_cwtnet.inspection.maps import Map
from napari_cwtnet.metrics import ssim_map
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.array_slide import ArraySlide
from napari_cwtnet.slides.backend import Pixels
from napari_cwtnet.slides.check_levels import MOST_LIKELY, check_levels
from napari_cwtnet.slides.degradation import Kernel
from napari_cwtnet.slides.degrade import shrink_exactly

BEST_DB = 60.0
"""Upper limit of local PSNR; equal pixels would have infinity."""
BICUBIC = Kernel("bicubic")
_REACH = 5
_SUPPORT = 2


def consistency(sr: Pixels, lr: Pixels, kernel: Kernel = BICUBIC) -> Floats:
    """Difference of SR, shrunk again, from LR: ``|D(SR) − LR|``, mean over RGB, grey levels.

    Parameters
    ----------
    sr : ndarray
        ``(s·h, s·w, 3)`` uint8.
    lr : ndarray
        ``(h, w, 3)`` uint8.
    kernel : Kernel
        D, by which the level of LR was made; bicubic where nobody knows.

    Returns
    -------
    ndarray
        ``(h, w)`` float32; NaN in the outermost two pixels, where the kernel reaches beyond the
        field.
    """
    height, width = lr.shape[:2]
    found = _mean_size(shrink_exactly(sr, kernel, sr.shape[0] // height) - lr)
    rim = np.ones((height, width), bool)
    rim[_SUPPORT:-_SUPPORT, _SUPPORT:-_SUPPORT] = False
    found[rim] = np.nan
    return found


def expected_error(
    sr: Pixels, lr: Pixels, error: Floats | None, kernel: Kernel | None = None
) -> Floats:
    """How far SR may be from the truth, grey levels: the score that the trust map shows.

    The network predicts what errors such tissue usually has; it cannot predict what somebody
    changed afterwards, or where it went wrong itself. That shows as a contradiction of LR. The
    larger of the two counts.

    Parameters
    ----------
    sr, lr : ndarray
        ``(s·h, s·w, 3)`` and ``(h, w, 3)`` uint8; SR may end within the last LR pixels.
    error : ndarray, optional
        The predicted error, ``(h, w)`` in grey levels; 0 where the model does not predict it.
    kernel : Kernel, optional
        By which the level of LR was made, if known.

    Returns
    -------
    ndarray
        ``(h, w)`` float32.
    """
    scale = -(-sr.shape[0] // lr.shape[0])
    missing = [(0, scale * lr.shape[axis] - sr.shape[axis]) for axis in (0, 1)]
    whole = np.pad(sr, (*missing, (0, 0)), mode="edge")
    contradiction = np.nan_to_num(consistency(whole, lr, kernel or BICUBIC))
    if error is None:
        return contradiction
    larger: Floats = np.maximum(error, contradiction)
    return larger


def confidence(field: Field) -> Floats:
    """Mean of S over the blocks ``(h, w)``, -1..1: near 0, little texture was transferred."""
    return attention(field)


def error(field: Field) -> Floats | None:
    """``|SR − truth|``, mean over RGB, grey levels ``(s·h, s·w)``; None without a truth."""
    if field.truth is None:
        return None
    return _mean_size(field.sr.astype(np.float32) - field.truth)


def local_psnr(field: Field) -> Floats | None:
    """PSNR in dB of the 11 × 11 pixels around each pixel, weighted as in SSIM; at most 60.

    ``(s·h, s·w)``; None without a truth. The image is mirrored at its edge.
    """
    if field.truth is None:
        return None
    squares = (_mirrored(field.sr) - _mirrored(field.truth)).square().mean(1, keepdim=True)
    mean = _smooth(squares)
    return (-10 * mean.clamp_min(10 ** (-BEST_DB / 10)).log10())[0, 0].float().numpy()


def local_ssim(field: Field) -> Floats | None:
    """SSIM of the 11 × 11 pixels around each pixel, mean over RGB, -1..1; see `local_psnr`."""
    if field.truth is None:
        return None
    return ssim_map(_mirrored(field.sr), _mirrored(field.truth))[0].mean(0).float().numpy()


def _mean_size(difference: Floats) -> Floats:
    return np.asarray(np.abs(difference).mean(-1), np.float32)


def _mirrored(image: Pixels) -> Tensor:
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double() / 255
    return F.pad(tensor, (_REACH, _REACH, _REACH, _REACH), mode="reflect")


def _smooth(image: Tensor) -> Tensor:
    steps = torch.arange(-_REACH, _REACH + 1, dtype=image.dtype)
    weights = torch.exp(-steps.square() / (2 * 1.5**2))
    weights = weights / weights.sum()
    return F.conv2d(F.conv2d(image, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))


def trust_maps(field: Field, spread: Floats | None = None) -> list[Map]:
    """All that are available; spread if given, and not the confidence, which is the mean of S."""
    absent = {"confidence"} | ({"spread"} if spread is None else set())
    names = [name for name in trust_names(field) if name not in absent]
    return [trust_map(field, name, spread) for name in names]


def trust_names(field: Field) -> list[str]:
    """Names of the trust maps available for a field, such as ``local-psnr``."""
    absent = set() if field.truth is not None else {"error", "local-psnr", "local-ssim"}
    if not field.blocks:
        absent.add("confidence")
    if field.error is None:
        absent |= {"expected-error", "predicted-error"}
    return [name for name in TRUST if name not in absent]


def trust_map(field: Field, name: str, spread: Floats | None = None) -> Map:
    """One of :func:`trust_names`; that named ``spread`` shows the values passed as such.

    Raises
    ------
    RequestError
        If the field does not have that map.
    """
    values: Floats | None = None
    if name == "consistency":
        values = consistency(field.sr, field.lr, field.kernel or BICUBIC)
    elif name == "expected-error":
        values = expected_error(field.sr, field.lr, field.error, field.kernel)
    elif name == "predicted-error":
        values = field.error
    elif name == "confidence":
        values = confidence(field)
    elif name == "spread":
        values = spread
    elif name in TRUST:
        measures = {
            "error": error,
            "local-psnr": local_psnr,
            "local-ssim": local_ssim,
        }
        values = measures[name](field)
    if values is None:
        raise RequestError(
            f"Map {name!r} is not available for this field; choose one of "
            f"{', '.join(trust_names(field))}."
        )
    return _trust(field, name, values)


TRUST: dict[str, tuple[str, str, str]] = {
    "expected-error": (
        "Expected error",
        "grey levels",
        "The larger of the predicted error and the contradiction of the slide: where it is high, "
        "do not rely on what the picture shows.",
    ),
    "predicted-error": (
        "Predicted error |SR − truth|",
        "grey levels",
        "What the network expects its error to be, learnt on tissue whose truth was known.",
    ),
    "consistency": (
        "Consistency |D(SR) − LR|",
        "grey levels",
        "SR shrunk again and compared with LR: bright places contradict the slide (the outermost "
        "two pixels are unknown).",
    ),
    "confidence": (
        "Attention confidence",
        "cosine",
        "Mean of S over the blocks. The wavelet branch adds texture in proportion to it, below 0 "
        "with its sign reversed: near 0 it adds little, near −1 as much as near 1. It does not "
        "say whether the texture is true.",
    ),
    "spread": (
        "Spread over flips and turns",
        "grey levels",
        "Standard deviation over the eight flips and turns of the input: bright places change "
        "with orientation, so the network guesses there.",
    ),
    "error": (
        "True error |SR − truth|",
        "grey levels",
        "Difference from the slide's own pixels, which the network did not see.",
    ),
    "local-psnr": (
        "Local PSNR",
        "dB",
        "Similarity to the slide's own pixels in the 11 × 11 pixels around each place: higher is "
        "better.",
    ),
    "local-ssim": (
        "Local SSIM",
        "SSIM",
        "Structural similarity to the slide's own pixels in the 11 × 11 pixels around each place: "
        "1 is equal.",
    ),
}
MOST_GREY_LEVELS = 20.0
"""Upper end of the scale of consistency, spread and error."""
_RANGES = {"cosine": (-1.0, 1.0), "dB": (10.0, 50.0), "SSIM": (0.0, 1.0)}


def _trust(field: Field, name: str, values: Floats) -> Map:
    title, unit, meaning = TRUST[name]
    if name == "error" and field.plan.mode == "oracle":
        meaning = "Difference from the slide's own pixels, which the network DID see (oracle)."
    if name in ("expected-error", "predicted-error") and field.error_is_older:
        meaning += " The model was fine-tuned since it learnt this: calibrate it on this slide."
    # The same for every field: stretched, a calm field would look as doubtful as a wrong one.
    low, high = _RANGES.get(unit, (0.0, MOST_GREY_LEVELS))
    return Map(
        name=name,
        title=title,
        meaning=meaning,
        unit=unit,
        values=values,
        low=low,
        high=high,
        palette="heat",
        region=field.plan.region,
        downsample=field.plan.region.width / values.shape[1],
        scale=f"Fixed scale, {low:g} to {high:g} {unit}, the same for every field.",
    )


TURNS = tuple((quarters, flip) for flip in (False, True) for quarters in range(4))
"""The eight flips and turns of a square."""


def self_ensemble_spread(
    field: Field,
    engine: Engine,
    *,
    cancel: CancelToken | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Standard deviation of SR over the eight flips and turns of the input.

    Tissue has no preferred orientation: where the result depends on it, the network guesses.

    Returns
    -------
    ndarray
        ``(s·h, s·w)`` float32, grey levels: root of the variance's mean over RGB.

    Raises
    ------
    RequestError
        If the engine has other weights than captured the field.
    CancelledError
        Between two passes, after ``cancel`` was called.
    """
    check_model(field, engine)
    cancel = cancel or CancelToken()
    found = np.zeros(field.sr.shape[:2], np.float32)
    total = len(field.parts) * len(TURNS)
    for number, part in enumerate(field.parts):
        answers = []
        for done, (quarters, flip) in enumerate(TURNS, start=1):
            cancel.raise_if_cancelled()
            answers.append(_answer(engine, part, quarters, flip))
            if progress is not None:
                progress(number * len(TURNS) + done, total)
        variance = np.var(np.stack(answers), axis=0, dtype=np.float64).mean(-1)
        part.place.copy(np.sqrt(variance).astype(np.float32), found, field.plan.scale)
    return found


def _answer(engine: Engine, part: Part, quarters: int, flip: bool) -> Floats:
    """SR of the turned tile, turned back; ``(s·h, s·w, 3)`` in grey levels."""
    lr = _turned(part.lr, quarters, flip)
    reference = None if part.reference is None else _turned(part.reference, quarters, flip)
    answer = engine.infer(lr, reference, part.known).sr[0]
    sr = answer.clamp(0, 1).mul(255).permute(1, 2, 0).cpu().numpy()
    back = np.flip(sr, 1) if flip else sr
    return np.asarray(np.rot90(back, -quarters))


def _turned(image: NDArray[np.uint8], quarters: int, flip: bool) -> NDArray[np.uint8]:
    turned = np.rot90(image, quarters)
    return np.ascontiguousarray(np.flip(turned, 1) if flip else turned)


_COARSER = {1: "half", 2: "a quarter of", 3: "an eighth of"}


@dataclass(frozen=True, slots=True)
class CoarserScaleCheck:
    """The model's gain over bicubic at a coarser octave, where the slide holds the truth."""

    octaves: int
    """Octaves coarser than the field."""
    quality: Quality
    """Against the slide's own pixels, at that octave."""
    here: Quality | None = None
    """The same at the field's own octave, where the slide holds the truth."""
    stored: bool = True
    """Whether LR there is a level of the slide; LR made here is easier to enlarge."""

    @property
    def gain(self) -> float | None:
        """PSNR over bicubic in dB, coarser; None where the field is too small or empty."""
        return self.quality.gain

    @property
    def gain_here(self) -> float | None:
        """PSNR over bicubic in dB at the field's own octave; None if unknown."""
        return None if self.here is None else self.here.gain

    @property
    def sentence(self) -> str:
        """The figures in words."""
        where = _COARSER.get(self.octaves, f"1/{2**self.octaves} of")
        words = f"Tested at {where} this magnification: {self.quality.comparison()}."
        if self.here is not None and self.gain_here is not None:
            made = "" if self.stored else ", from input made here without compression"
            words += f" At this magnification{made}: {self.here.comparison()}."
        return words


def coarser_scale_check(
    slide: Slide, engine: Engine, field: Field, *, cancel: CancelToken | None = None
) -> CoarserScaleCheck | None:
    """Run the model on the same field, at least one octave coarser, where the slide has the truth.

    With a reference, the baseline is the bicubic enlargement of the reference.

    Returns
    -------
    CoarserScaleCheck or None
        None where :func:`why_unknown` gives a reason.

    Raises
    ------
    CancelledError
        If ``cancel`` was called.
    """
    plan = field.plan
    if why_unknown(field) is not None:
        return None
    octaves = max(1, octaves_to_truth(plan))
    with coarser_field(slide, engine, plan, plan.region, octaves) as (pyramid, coarser):
        image = enhanced(pyramid, engine, coarser, cancel).image
        quality = measure(pyramid, coarser, image, cancel)
    here = measure(slide, plan, field.sr, cancel) if plan.checkable else None
    stored = input_origins(slide, plan)["LR"].stored
    return CoarserScaleCheck(octaves, quality, here, stored)


def octaves_to_truth(plan: Plan) -> int:
    """Octaves to go down until the slide holds the truth; 0 where it does."""
    octaves = 0
    while plan.output_downsample * 2**octaves < 1 - 1e-6:
        octaves += 1
    return octaves


@contextlib.contextmanager
def coarser_field(
    slide: Slide, engine: Engine, plan: Plan, region: Region, octaves: int
) -> Iterator[tuple[ArraySlide, Plan]]:
    """A region some octaves down, made as the slide's levels are, and how to enhance it.

    The model is told no more of it than of what the plan reads.

    Parameters
    ----------
    slide, engine, plan
        What is enhanced, and how.
    region : Region
        Level-0 pixels.
    octaves : int
        At least :func:`octaves_to_truth`.
    """
    levels = check_levels(
        slide,
        region,
        plan.downsample * 2**octaves,
        plan.scale,
        KERNELS.get(plan.sharpness, MOST_LIKELY),
        tell_kernel=engine.known(slide, plan)[0].kernel is not None,
    )
    with levels.slide as pyramid:
        reference: ReferenceChoice = "none" if plan.mode == "single-image" else "next"
        request = EnhanceRequest(pyramid.bounds, plan.scale, reference)
        yield pyramid, make_plan(pyramid, engine.model, request)


def enhanced(slide: Slide, engine: Engine, plan: Plan, cancel: CancelToken | None = None) -> Canvas:
    """All tiles of a plan on one canvas."""
    canvas = Canvas(plan)
    for finished in engine.run(slide, plan, cancel):
        canvas.add(finished.tile, finished.sr, finished.error)
    return canvas


def why_unknown(field: Field) -> str | None:
    """Why the model's gain on a field cannot be measured; None where it can."""
    if field.plan.source_computed:
        return "Not known: the input image is itself computed and holds no truth."
    if field.plan.mode == "oracle":
        return "ORACLE: the network was given the answer; its gain is not known."
    return None


def trust_sentence(field: Field, found: CoarserScaleCheck | None) -> str:
    """How far to trust the model on a field, or why that is unknown."""
    return why_unknown(field) or ("" if found is None else found.sentence)
