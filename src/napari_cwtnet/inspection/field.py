"""One field of a slide, captured: its images, and the attention of every block that saw it.

A field is computed from the engine's own tiles, so it shows what an enhancement does: SR has the
same bytes on one processor and in one precision (background is computed, too), and a match lies
within the tile of its query. Where tiles overlap, SR is blended as always, while attention and
sub-bands come from the tile that owns the pixel, since two matches have no average.

Queries and keys are not kept, as they need gigabytes; the inputs of each tile are, and
:mod:`napari_cwtnet.inspection.attention` recomputes from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cwtnet import __version__
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Canvas, Engine, EnhanceRequest, Plan, make_plan, provenance
from napari_cwtnet.enhancement import truth as slide_truth
from napari_cwtnet.enhancement.engine import Known
from napari_cwtnet.enhancement.forward import error_of, to_pixels
from napari_cwtnet.enhancement.input_origin import read_input
from napari_cwtnet.enhancement.tiling import Placement, Tile, crop_halo, placement
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import NetworkConfig
from napari_cwtnet.model.base import NetworkOutput
from napari_cwtnet.model.weights import ModelHeader
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.backend import Pixels
from napari_cwtnet.slides.degradation import Kernel


def cwtnet_config(model: ModelHeader) -> NetworkConfig:
    """The config of a CWT-Net.

    Raises
    ------
    RequestError
        If the model is another network, without attention and WT branch.
    """
    config = model.config
    if isinstance(config, NetworkConfig):
        return config
    raise RequestError(
        f"Model {model.name!r} is of the architecture {config.architecture}, which has no "
        "attention to inspect; choose a CWT-Net."
    )


Floats = NDArray[np.float32]

MAX_SIDE = 512
"""LR pixels along a side of the largest field."""
MIN_SIDE = 16

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Part:
    """The input of one tile of a field."""

    tile: Tile
    place: Placement
    lr: Pixels
    """``(h, w, 3)`` uint8, with the halo."""
    reference: Pixels | None
    """``(2h, 2w, 3)`` uint8."""
    known: Known
    """Degradations of LR and reference, as passed to the network."""


@dataclass(frozen=True, slots=True)
class Field:
    """Images of a field of ``h × w`` whole LR pixels, and what the network did with it.

    Images of the slide are ``(…, …, 3)`` uint8; computed features are float32.
    """

    plan: Plan
    config: NetworkConfig
    provenance: dict[str, Any]
    lr: Pixels
    """``(h, w, 3)``."""
    reference: Pixels | None
    """``(2h, 2w, 3)``, the network's input; None in single-image mode."""
    sr: Pixels
    """``(s·h, s·w, 3)``: the same bytes as an enhancement of the region on this device."""
    truth: Pixels | None
    """``(s·h, s·w, 3)`` of the slide; None where it holds no truth."""
    relevance: Floats
    """S of each block, ``(n, h, w)``, cosine in -1..1; n is 0 where the SR branch works alone."""
    displacement: NDArray[np.int16]
    """From each LR pixel to its match, ``(n, h, w, 2)``: down and to the right, LR pixels."""
    predicted: Floats | None
    """I_WT ``(3·bands, h, w)``; None where the SR branch works alone."""
    target: Floats | None
    """Target of I_WT, ``(3·bands, h, w)``; None where the slide is not fine enough."""
    stand_in: Floats | None
    """Input of the WT branch in place of a reference, ``(2h, 2w, 3)`` in 0..1."""
    parts: tuple[Part, ...]
    error: Floats | None = None
    """Predicted |SR − truth| in grey levels, ``(h, w)``: mean over RGB and the pixels of SR in each
    LR pixel; None where the model does not predict it."""
    error_is_older: bool = False
    """Whether the network was trained further since it learnt to predict its error."""

    @property
    def blocks(self) -> int:
        """Number of blocks with attention."""
        return int(self.relevance.shape[0])

    @property
    def kernel(self) -> Kernel | None:
        """By which the level of LR was made; None where the network does not know it."""
        return self.parts[0].known[0].kernel

    @property
    def aligned(self) -> bool:
        """Whether the model compares only the same place: h(i) = i."""
        return self.config.search == "aligned"


def field_request(slide: Slide, request: EnhanceRequest) -> EnhanceRequest:
    """The request clipped to the slide and to whole LR pixels.

    Raises
    ------
    RequestError
        If the field is too small or too large to inspect.
    """
    inside = request.region.intersection(slide.bounds)
    if inside is None:
        return request  # planning refuses it
    d = request.downsample
    columns, rows = (math.floor(side / d + _ROUNDING) for side in (inside.width, inside.height))
    if min(columns, rows) < MIN_SIDE:
        raise RequestError(
            f"A field of {columns} × {rows} LR pixels is too small to inspect; give at least "
            f"{MIN_SIDE} × {MIN_SIDE}, which is {MIN_SIDE * d:g} × {MIN_SIDE * d:g} level-0 pixels."
        )
    if max(columns, rows) > MAX_SIDE:
        raise RequestError(
            f"A field of {columns} × {rows} LR pixels is too large: the attention of every block "
            f"is kept in memory; give at most {MAX_SIDE} × {MAX_SIDE}: a smaller region or a "
            "larger downsample."
        )
    return replace(request, region=Region(inside.x, inside.y, columns * d, rows * d))


def capture(
    slide: Slide,
    engine: Engine,
    request: EnhanceRequest,
    *,
    cancel: CancelToken | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Field:
    """Enhance a field and record what the network did.

    Parameters
    ----------
    slide : Slide
        An open slide.
    engine : Engine
        The model on its device.
    request : EnhanceRequest
        At most 512 × 512 LR pixels; clipped to the slide and to whole LR pixels.
    cancel : CancelToken, optional
        Stops the work within one tile.
    progress : callable, optional
        Called after each tile with the number of tiles done and the total.

    Raises
    ------
    RequestError, ModelError, SlideError
        If the request cannot be met.
    CancelledError
        If ``cancel`` was called.
    """
    config = cwtnet_config(engine.model)
    plan = make_plan(slide, engine.model, field_request(slide, request))
    cancel = cancel or CancelToken()
    known = engine.known(slide, plan)
    taking, canvas, parts = _Taking(plan, config), Canvas(plan), []
    for done, tile in enumerate(plan.tiles, start=1):
        cancel.raise_if_cancelled()
        lr, reference = engine.read(slide, plan, tile)
        output = engine.infer(lr, reference, known, record=True)
        canvas.add(tile, crop_halo(to_pixels(output.sr[0]), tile, plan.scale), error_of(output))
        part = Part(tile, placement(plan.lattice, tile), lr, reference, known)
        taking.add(part, output)
        parts.append(part)
        if progress is not None:
            progress(done, len(plan.tiles))
    finer = taking.reference
    if finer is None and plan.downsample >= 2 and not plan.source_computed:
        finer = read_input(slide, plan, plan.region, plan.downsample / 2)
    target = None
    if finer is not None and taking.predicted is not None:
        target = engine.model.network.wt_target(_tensor(finer))[0].numpy()
    return Field(
        plan=plan,
        config=config,
        provenance=provenance(slide, plan, engine) | _recorded(engine),
        lr=taking.lr,
        reference=taking.reference,
        sr=canvas.image,
        truth=slide_truth(slide, plan),
        relevance=taking.relevance,
        displacement=taking.displacement,
        predicted=taking.predicted,
        target=target,
        stand_in=taking.stand_in,
        parts=tuple(parts),
        error=canvas.error,
        error_is_older="error_head" not in engine.model.provenance,
    )


def _recorded(engine: Engine) -> dict[str, Any]:
    """What is other than in an enhancement: torch records every tile, and any model will do."""
    software = f"napari-cwtnet {__version__}, torch {torch.__version__}"
    return {"skip_background": False, "device": str(engine.device), "software": software}


def check_model(field: Field, engine: Engine) -> None:
    """Raise :class:`RequestError` for an engine with other weights than captured the field."""
    if engine.model.sha256 != field.provenance["model_sha256"]:
        raise RequestError(
            f"The field was captured with other weights than model {engine.model.name!r} has now; "
            "capture it again."
        )


class _Taking:
    """Copies the output of tiles into the arrays of a field."""

    def __init__(self, plan: Plan, config: NetworkConfig) -> None:
        width, height = plan.lattice.size
        attends = config.attends(with_reference=plan.with_reference)
        blocks = config.blocks if attends else 0
        self.lr = np.zeros((height, width, 3), np.uint8)
        self.relevance = np.zeros((blocks, height, width), np.float32)
        self.displacement = np.zeros((blocks, height, width, 2), np.int16)
        self.reference: Pixels | None = None
        self.stand_in: Floats | None = None
        self.predicted: Floats | None = None
        if plan.with_reference:
            self.reference = np.zeros((2 * height, 2 * width, 3), np.uint8)
        elif attends:
            self.stand_in = np.zeros((2 * height, 2 * width, 3), np.float32)
        if attends:
            bands = 3 if config.wt_front == "average" else 3 * len(config.bands)
            self.predicted = np.zeros((bands, height, width), np.float32)

    def add(self, part: Part, output: NetworkOutput) -> None:
        place = part.place
        place.copy(part.lr, self.lr)
        if self.reference is not None and part.reference is not None:
            place.copy(part.reference, self.reference, 2)
        if self.stand_in is not None and output.reference is not None:
            place.copy(_array(output.reference[0].permute(1, 2, 0)), self.stand_in, 2)
        if self.predicted is not None and output.wt is not None:
            for taken, band in zip(self.predicted, _array(output.wt[0]), strict=True):
                place.copy(band, taken)
        for number, record in enumerate(output.blocks):
            place.copy(_array(record.relevance[0, 0]), self.relevance[number])
            place.copy(displacements(record.index[0]), self.displacement[number])


def displacements(index: Tensor) -> NDArray[np.int16]:
    """Steps ``(h, w, 2)``, down and right, from an index map ``(h, w)`` of row-major places."""
    found = index.cpu().numpy()
    rows, columns = np.indices(found.shape)
    width = found.shape[1]
    return np.stack((found // width - rows, found % width - columns), axis=-1).astype(np.int16)


def _array(features: Tensor) -> Floats:
    return features.float().cpu().numpy()


def _tensor(image: Pixels) -> Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
