"""An enhanced region, and the function that makes one."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet import __version__
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement.blend import Canvas
from napari_cwtnet.enhancement.engine import Engine, TileCounts
from napari_cwtnet.enhancement.forward import DtypeChoice, dtype_name
from napari_cwtnet.enhancement.plan import (
    RESEARCH_USE,
    EnhanceRequest,
    Mode,
    Plan,
    ReferenceChoice,
    Sharpness,
    make_plan,
)
from napari_cwtnet.enhancement.quality import Quality, measure
from napari_cwtnet.enhancement.tiling import Grid
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import Model, load_model
from napari_cwtnet.slides import Slide

MAX_OUTPUT_PIXELS = 2**28
"""Computing and comparing holds several copies of them."""


@dataclass(frozen=True, slots=True)
class Result:
    """Computed pixels with their plan, quality and provenance."""

    image: NDArray[np.uint8]
    """``(height, width, 3)`` RGB."""
    plan: Plan
    metrics: Quality
    provenance: dict[str, Any]
    seconds: float
    tile_counts: TileCounts
    error: NDArray[np.float32] | None = None
    """Predicted |SR − truth| in grey levels, ``(h, w)`` on the LR grid; None where the model does
    not predict it."""

    @property
    def mpp(self) -> float | None:
        """µm per pixel of the image; None if unknown."""
        return self.plan.output_mpp

    @property
    def mode(self) -> Mode:
        """Whether a reference was used, and whether it was the answer (oracle)."""
        return self.plan.mode

    @property
    def region(self) -> Region:
        """The region that the image covers, level-0 pixels."""
        return self.plan.region


def _check_size(plan: Plan) -> None:
    width, height = plan.output_size
    if width * height > MAX_OUTPUT_PIXELS:
        raise RequestError(
            f"Region {plan.region} would give {width} × {height} pixels, more than the "
            f"{MAX_OUTPUT_PIXELS / 1e6:.0f} million that fit in one image; choose a smaller "
            "region or a larger downsample."
        )


def provenance(
    slide: Slide, plan: Plan, engine: Engine, tile_counts: TileCounts | None = None
) -> dict[str, Any]:
    """The origin of computed pixels, as JSON values, without anything that names a patient.

    Parameters
    ----------
    slide, plan, engine
        The enhanced slide, the plan and the engine that ran it.
    tile_counts : TileCounts, optional
        How the tiles were computed; None before they are.
    """
    lattice = plan.lattice
    degradation, reference = engine.known(slide, plan)
    purpose = engine.model.purpose
    return {
        "computed": True,
        "notice": RESEARCH_USE,
        "badge": plan.badge,
        "slide_fingerprint": slide.fingerprint,
        "region": [plan.region.x, plan.region.y, plan.region.width, plan.region.height],
        "input_downsample": plan.downsample,
        "output_downsample": plan.output_downsample,
        "source_downsample": plan.source_downsample,
        "native_mpp": plan.native_mpp,
        "output_mpp": plan.output_mpp,
        "pixel_aspect": plan.pixel_aspect,
        "mode": plan.mode,
        "degradation": degradation.as_dict(),
        "reference_degradation": reference.as_dict() if plan.with_reference else None,
        "sharpness": plan.sharpness,
        "beyond_native": plan.beyond_native,
        "icc_to_srgb": slide.icc,
        "model": engine.model.name,
        "model_sha256": engine.model.sha256,
        **({"model_purpose": f"{purpose}, not for use"} if purpose else {}),
        "tile": list(lattice.tile_size),
        "halo": lattice.halo,
        "grid": [lattice.grid.x, lattice.grid.y, lattice.grid.step_x, lattice.grid.step_y],
        "device": engine.device_name,
        "dtype": dtype_name(engine.dtype),
        "skip_background": engine.skip_background,
        "software": f"napari-cwtnet {__version__}, {engine.runtime}",
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **_shifts(slide, plan),
        **_origin(slide, plan),
        **({} if tile_counts is None else tile_counts.as_dict()),
    }


def _shifts(slide: Slide, plan: Plan) -> dict[str, Any]:
    """The shifts that were corrected, level-0 pixels; nothing where levels are in place."""
    names = ("input_shift", "reference_shift")[: 1 + plan.with_reference]
    found = (
        slide.shift(plan.downsample / factor, source=plan.source_downsample) for factor in (1, 2)
    )
    return {name: list(shift) for name, shift in zip(names, found, strict=False) if any(shift)}


def _origin(slide: Slide, plan: Plan) -> dict[str, Any]:
    """The scanned slide and region behind a slide that is itself computed."""
    if slide.computed_place is None:
        return {}
    source, pixel = slide.computed_place
    region = plan.region
    return {
        "original_region": [
            source.x + region.x * pixel,
            source.y + region.y * pixel,
            region.width * pixel,
            region.height * pixel,
        ],
        "original_downsample": plan.output_downsample * pixel,
        "original_fingerprint": slide.computed_from,
    }


def enhance(
    slide: Slide,
    region: Region | Sequence[float],
    downsample: float = 1.0,
    *,
    model: Model | str | Path,
    reference: ReferenceChoice = "auto",
    device: str = "auto",
    dtype: DtypeChoice = "auto",
    grid: Grid | Sequence[int] | None = None,
    skip_background: bool = True,
    sharpness: Sharpness = "auto",
    cancel: CancelToken | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Super-resolve a region of a slide.

    Parameters
    ----------
    slide : Slide
        An open slide.
    region : Region or (x, y, width, height)
        Level-0 pixels; clipped to the slide.
    downsample : float
        Level-0 pixels per LR pixel, at least 1. The result has ``downsample / scale``.
    model : Model, str or Path
        A loaded model, a model's name, or a ``.safetensors`` file.
    reference : {"auto", "next", "none"}
        WT input: chosen for the model, the next-higher level, or none.
    device : str
        ``auto``, ``cpu``, ``cuda:0``, ``mps``, ``openvino:CPU``, ``openvino:GPU``.
    dtype : {"auto", "float32", "bfloat16", "float16"}
        Precision of the features; auto is the fastest that keeps image quality.
    grid : Grid or (x, y, step_x, step_y), optional
        Grid of the tiles, LR pixels; by default fitted to the region.
    skip_background : bool
        Whether to enlarge empty tiles bicubically, without the network.
    sharpness : {"auto", "sharp", "medium", "soft", "softest"}
        Assumed sharpness of a slide whose file does not reveal it.
    cancel : CancelToken, optional
        Stops the work within one tile.
    progress : callable, optional
        Called after each tile with the number of tiles done and the total.

    Returns
    -------
    Result
        ``image`` has the size of the region at ``downsample / scale``, at least 1 × 1.

    Raises
    ------
    RequestError, ModelError, SlideError
        If the request cannot be met.
    CancelledError
        If ``cancel`` was called.
    """
    if not isinstance(slide, Slide):
        raise RequestError(f"{slide!r} is not an open slide; give what open_slide(path) returns.")
    region = Region.of(region)
    if grid is not None and not isinstance(grid, Grid):
        grid = Grid.parse(",".join(map(str, grid)))
    request = EnhanceRequest(region, downsample, reference, grid, sharpness)
    loaded = model if isinstance(model, Model) else load_model(model)
    began = time.perf_counter()
    plan = make_plan(slide, loaded, request)
    _check_size(plan)
    engine = Engine(loaded, device, cache_bytes=0, dtype=dtype, skip_background=skip_background)
    canvas, tile_counts = Canvas(plan), TileCounts()
    # However it ends, even by an error in `progress`, no thread keeps computing.
    with contextlib.closing(engine.run(slide, plan, cancel)) as running:
        for done, finished in enumerate(running, start=1):
            canvas.add(finished.tile, finished.sr, finished.error)
            tile_counts.add(finished)
            if progress is not None:
                progress(done, len(plan.tiles))
    image = canvas.image
    return Result(
        image=image,
        plan=plan,
        metrics=measure(slide, plan, image, cancel),
        provenance=provenance(slide, plan, engine, tile_counts),
        seconds=time.perf_counter() - began,
        tile_counts=tile_counts,
        error=canvas.error,
    )
