"""A whole slide at an exact pixel size: coarser by a kernel, finer by a model or bicubic."""

from __future__ import annotations

import datetime
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet import __version__
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement.plan import RESEARCH_USE
from napari_cwtnet.errors import RequestError
from napari_cwtnet.export.formats import write_levels
from napari_cwtnet.export.ome_zarr import is_computed_zarr
from napari_cwtnet.export.pyramid import Count, level_sizes
from napari_cwtnet.export.record import sidecar_path
from napari_cwtnet.export.save import check_output
from napari_cwtnet.export.whole_slide import Job, enhance_to_file
from napari_cwtnet.geometry import Region, Size
from napari_cwtnet.model import list_models
from napari_cwtnet.model.weights import ModelHeader, read_header
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.slides.provenance_tags import record_of
from napari_cwtnet.slides.resample import Filter
from napari_cwtnet.slides.resolution import is_square

Pixels = NDArray[np.uint8]
Progress = Callable[[str, int, int], None]
"""Called with what is made, how much of it is done, and of how much."""

_TOLERANCE = 1e-3
"""Relative difference of pixel sizes below which nothing needs to be resampled."""


@dataclass(frozen=True, slots=True)
class ResampledLevel:
    """A slide at any pixel size, cut like an array ``(height, width, 3)``; read when it is cut.

    Parameters
    ----------
    slide : Slide
        Open while pixels are read.
    downsample : float
        Level-0 pixels per pixel, above 0.
    size : Size
        Of the level, pixels.
    by : {"bicubic", "box"}
        The kernel that shrinks; bicubic enlarges.
    """

    slide: Slide
    downsample: float
    size: Size
    by: Filter

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and 3."""
        return self.size.height, self.size.width, 3

    def __getitem__(self, place: tuple[slice, slice]) -> Pixels:
        """The pixels of a rectangle."""
        rows, columns = place
        top, bottom, _ = rows.indices(self.size.height)
        left, right, _ = columns.indices(self.size.width)
        width, height = (max(0, n) * self.downsample for n in (right - left, bottom - top))
        region = Region(left * self.downsample, top * self.downsample, width, height)
        if self.downsample < 1:
            return self.slide.enlarge(region, self.downsample)
        return self.slide.read(region, self.downsample, replicate=True, by=self.by, registered=True)


def resample(
    path: Path,
    mpp: float,
    output: Path,
    *,
    by: str | None = None,
    native_mpp: float | None = None,
    image: int | None = None,
    device: str = "auto",
    cancel: CancelToken | None = None,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Write a slide at an exact pixel size, at its place, within bounded memory.

    Parameters
    ----------
    path : Path
        The slide.
    mpp : float
        µm per pixel of the result.
    output : Path
        ``.ome.tif``, ``.ome.zarr`` or ``.dicom``; appears when all of it is there.
    by : str, optional
        ``box`` or ``bicubic``, or for a finer result the name or file of a model. By default
        ``box`` for a coarser result, and for a finer one the shipped model of the least scale
        that suffices.
    native_mpp : float, optional
        µm per level-0 pixel, in place of what the slide says.
    image : int, optional
        Which one, of a file that holds several.
    device : str
        Where a model computes.
    cancel : CancelToken, optional
        Stops the work; a model's part is kept, and the same call goes on from there.
    progress : callable, optional
        Called with how far the work is.

    Returns
    -------
    dict
        What was written, as JSON values.

    Raises
    ------
    RequestError
        If the slide has no pixel size, or what was asked for cannot be reached by these means.
    OutputError
        If the output cannot be written.
    CancelledError
        After ``cancel``.
    """
    check_output(output, path)
    cancel = cancel or CancelToken()

    def written(done: int, total: int) -> None:
        cancel.raise_if_cancelled()
        progress("part", done, total)

    count = Count(written)
    with open_slide(path, native_mpp, image=image) as slide:
        if slide.mpp is None:
            raise RequestError(
                f"Slide {path.name} does not say its pixel size; give it by --native-mpp."
            )
        if not is_square(slide.pixel_aspect):
            raise RequestError(
                f"Slide {path.name}: {slide.mpp_note}; no other size of them is exact along both "
                "axes. Give --native-mpp to take them for square."
            )
        if not math.isfinite(mpp) or mpp <= 0:
            raise RequestError(f"Pixel size {mpp:g} µm/px: give a number above 0.")
        downsample = mpp / slide.mpp
        if abs(downsample - 1) < _TOLERANCE:
            downsample = 1.0
        means = by or _means(downsample)
        if means in get_args(Filter):
            kernel: Filter = "box" if means == "box" else "bicubic"
            if kernel == "box" and downsample < 1:
                raise RequestError(
                    f"{mpp:g} µm/px is finer than the slide's {slide.mpp:.3g}; a mean of pixels "
                    "cannot be finer. Choose a model or bicubic."
                )
            provenance = _provenance(slide, downsample, mpp, kernel)
            write_levels(output, _levels(slide, downsample, kernel), provenance, mpp, count)
            return _summary(output, provenance)
        header = read_header(list_models().get(means, Path(means)))
    _check_reach(header, downsample, mpp)
    fine = output.with_name(f".{output.name}.computed.ome.zarr")
    job = Job(path, means, device=device, mpp=native_mpp, image=image)
    enhance_to_file(job, fine, resume=True, cancel=cancel, told=progress)
    with open_slide(fine) as computed:
        record = dict(record_of(computed.properties))
        native = float(record["native_mpp"])
        provenance = record | {
            "badge": f"COMPUTED · ×{header.scale} · {mpp:.4g} µm/px from {native:.4g} · "
            f"{header.name} · research use only",
            "output_downsample": downsample,
            "resampled": {"kernel": "bicubic", "mpp": mpp},
        }
        finer = downsample * header.scale
        write_levels(output, _levels(computed, finer, "bicubic"), provenance, mpp, count)
    if is_computed_zarr(fine):
        shutil.rmtree(fine)
        sidecar_path(fine).unlink(missing_ok=True)
    return _summary(output, provenance)


def _means(downsample: float) -> str:
    if downsample >= 1:
        return "box"
    scale = next((s for s in (2, 4, 8) if 1 / s <= downsample * (1 + _TOLERANCE)), 8)
    return f"cwtnet-lite-x{scale}"


def _check_reach(header: ModelHeader, downsample: float, mpp: float) -> None:
    if downsample >= 1:
        raise RequestError(
            f"{mpp:g} µm/px is no finer than the slide; a model is not needed. Choose box or "
            "bicubic."
        )
    if downsample * header.scale < 1 - _TOLERANCE:
        raise RequestError(
            f"Model {header.name!r} makes the slide {header.scale} times finer, and {mpp:g} µm/px "
            f"is {1 / downsample:.3g} times finer; choose a model of a larger scale."
        )


def _levels(slide: Slide, downsample: float, kernel: Filter) -> list[ResampledLevel]:
    size = Size(*(max(1, math.floor(side / downsample + 1e-6)) for side in slide.size))
    return [
        ResampledLevel(slide, downsample * 2**number, one, kernel if number == 0 else "box")
        for number, one in enumerate(level_sizes(size))
    ]


def _provenance(slide: Slide, downsample: float, mpp: float, kernel: Filter) -> dict[str, Any]:
    assert slide.mpp is not None
    computed, shift = slide.computed is not None, slide.shift(max(1.0, downsample))
    return {
        "computed": computed,
        "notice": RESEARCH_USE,
        "badge": f"{'COMPUTED, ' if computed else ''}RESAMPLED · {mpp:.4g} µm/px from "
        f"{slide.mpp:.4g} · {kernel}",
        "slide_fingerprint": slide.fingerprint,
        "region": [0, 0, slide.size.width, slide.size.height],
        "output_downsample": downsample,
        "native_mpp": slide.mpp,
        "output_mpp": mpp,
        "pixel_aspect": slide.pixel_aspect,
        "degradation": slide.degradation(1).as_dict(),
        **({"input_shift": list(shift)} if any(shift) else {}),
        "resampled": {"kernel": kernel, "mpp": mpp},
        "software": f"napari-cwtnet {__version__}",
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _summary(output: Path, provenance: dict[str, Any]) -> dict[str, Any]:
    return {
        "output": str(output),
        "mpp": provenance["resampled"]["mpp"],
        "downsample": provenance["output_downsample"],
        "computed": provenance["computed"],
        "badge": provenance["badge"],
    }
