"""The layer of a slide: what it is made of, and the way back from it to its `Slide`."""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning

from napari_cwtnet.geometry import MAGNIFICATION_TOLERANCE, Size, magnification
from napari_cwtnet.plugin.viewer.canvas import real_viewer
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.tiled_level import TiledLevel, tiled_levels
from napari_cwtnet.slides import Slide

if TYPE_CHECKING:
    from napari.layers import Layer


KEY = "napari_cwtnet"
"""Of a layer's metadata: everything this plugin knows about the layer is under it."""


def slide_layer(slide: Slide) -> tuple[list[TiledLevel], dict[str, Any]]:
    """Data and keyword arguments of a slide's layer, as ``viewer.add_image`` takes them."""
    metadata: dict[str, Any] = {KEY: {"slide": slide}}
    name = slide_name(slide)
    if slide.computed is not None:
        metadata[RESULT_KEY] = {"badge": slide.computed}
        name = f"COMPUTED · {name}"
    settings = {
        "name": name,
        "rgb": True,
        "multiscale": True,
        "contrast_limits": (0, 255),
        "metadata": metadata,
        **placement(slide),
    }
    return tiled_levels(slide, show_warning), settings


def slide_name(slide: Slide, *, ending: bool = False) -> str:
    """Name of the file, and which of its images it is, unless that opens without asking.

    Parameters
    ----------
    slide : Slide
        What is named.
    ending : bool
        Name the file by its ending too.
    """
    name = readable_name(slide.path, slide.properties.get("dicom.SeriesDescription", ""))
    if ending and name == slide.path.stem:
        name = slide.path.name
    if slide.explicit_image is None:
        return name
    return f"{name} · {slide.explicit_image + 1} of {len(slide.images)}"


_UID = re.compile(r"(\d+(?:\.\d+){4,})(?:\.dcm)?", re.IGNORECASE)
_TOLD_APART, _DESCRIBED = 5, 30
"""Characters of a UID's end and of a description; a list of layers shows some 25."""


def readable_name(path: Path, description: str) -> str:
    """The name of a file, but of one that is named by a UID of DICOM its description and the end.

    >>> readable_name(Path("CMU-1.svs"), "")
    'CMU-1'
    >>> readable_name(Path("1.2.826.0.1.3680043.8.498.58740178995208.dcm"), "")
    'DICOM …95208'
    >>> readable_name(Path("1.2.826.0.1.3680043.8.498.58740178995208"), "HE, block A")
    'HE, block A …95208'
    """
    uid = _UID.fullmatch(path.name)
    if uid is None:
        return path.stem
    described = description.strip()[:_DESCRIBED] or "DICOM"
    return f"{described} …{uid[1][-_TOLD_APART:]}"


def placement(slide: Slide) -> dict[str, Any]:
    """Scale, translation and units of a slide's layer: µm where its pixel size is known.

    A computed image that says what it covers lies there on its slide, which itself begins at the
    origin; without a pixel size, in level-0 pixels of that slide.
    """
    region, downsample = slide.computed_place or (None, 1.0)
    pixel = downsample if slide.mpp is None else slide.mpp
    unit = "pixel" if slide.mpp is None else "um"
    translate = (0.0, 0.0)
    if region is not None:
        # The first pixel's centre, for a layer's coordinates are those of pixel centres.
        shift, native = (downsample - 1) / 2, pixel / downsample
        translate = ((region.y + shift) * native, (region.x + shift) * native)
    return {"scale": (pixel, pixel), "translate": translate, "units": (unit, unit)}


def slide_of(layer: Layer | None) -> Slide | None:
    """The slide that a layer shows; None for a layer of anything else."""
    known = layer.metadata.get(KEY) if layer is not None else None
    slide = known.get("slide") if isinstance(known, dict) else None
    return slide if isinstance(slide, Slide) else None


_OVER = "over"


def lies_over(slide_layer: Layer) -> dict[str, Any]:
    """Metadata of a layer that belongs to a slide, such as its regions of interest."""
    return {KEY: {_OVER: weakref.ref(real_viewer(slide_layer))}}


def layer_below(layer: Layer) -> Layer | None:
    """The slide's layer that another one says it belongs to."""
    known = layer.metadata.get(KEY)
    below = known.get(_OVER) if isinstance(known, dict) else None
    return below() if isinstance(below, weakref.ref) else None


MAGNIFICATIONS = {5: 2.0, 10: 1.0, 20: 0.5, 40: 0.25}
"""µm per screen pixel that the names stand for."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A magnification to look at a slide with.

    Parameters
    ----------
    label : int
        20 for 20×.
    pixel : float or None
        Level-0 pixels per screen pixel; None where the pixel size is not known.
    native : bool
        Whether the slide has pixels that fine.
    """

    label: int
    pixel: float | None
    native: bool

    @property
    def text(self) -> str:
        """What is on the button."""
        return f"{self.label}×" if self.native else f"{self.label}×*"

    @property
    def explanation(self) -> str:
        """What happens when it is pressed, or why it cannot be."""
        if self.pixel is None:
            return "The pixel size is not known; say below what the slide was scanned at"
        words = f"One screen pixel is {MAGNIFICATIONS[self.label]:g} µm"
        return words if self.native else f"{words}: finer than the slide, whose pixels get enlarged"


def jumps(mpp: float | None) -> list[Jump]:
    """The magnifications that can be jumped to.

    >>> [(jump.text, jump.pixel) for jump in jumps(0.5)]
    [('5×', 4.0), ('10×', 2.0), ('20×', 1.0), ('40×*', 0.5)]
    """
    if mpp is None:
        return [Jump(label, None, native=True) for label in MAGNIFICATIONS]
    finest = mpp * (1 - MAGNIFICATION_TOLERANCE)
    return [
        Jump(label, pixel / mpp, native=pixel >= finest) for label, pixel in MAGNIFICATIONS.items()
    ]


def size_text(size: Size, mpp: float | None) -> str:
    """Pixels and, where known, millimetres.

    >>> size_text(Size(46000, 32914), 0.5)
    '46000 × 32914 px · 23.0 × 16.5 mm'
    """
    pixels = f"{size.width} × {size.height} px"
    if mpp is None:
        return pixels
    width, height = (f"{length * mpp / 1000:.3g}" for length in size)
    width, height = (text if "." in text else f"{text}.0" for text in (width, height))
    return f"{pixels} · {width} × {height} mm"


def magnification_text(mpp: float | None) -> str:
    """The name of a pixel size; a dash where it has none.

    >>> magnification_text(0.499), magnification_text(None)
    ('20×', '–')
    """
    label = magnification(mpp)
    return f"{label}×" if label else "–"


def view_text(mpp: float | None, pixel: float) -> str:
    """What one screen pixel is.

    >>> view_text(0.5, 2), view_text(None, 2)
    ('10× · 1.00 µm/px', '2.00 px per screen px')
    """
    if mpp is None:
        return f"{pixel:#.3g} px per screen px"
    label = magnification(mpp * pixel)
    return (f"{label}× · " if label else "") + f"{mpp * pixel:#.3g} µm/px"


def level_rows(slide: Slide) -> list[tuple[str, str, str]]:
    """Downsample, µm/px and size of each stored level."""
    return [
        (
            f"{level.downsample:.4g}",
            "–" if slide.mpp is None else f"{slide.mpp * level.downsample:.4g}",
            f"{level.size.width} × {level.size.height}",
        )
        for level in slide.levels
    ]


def degradation_text(slide: Slide) -> str:
    """What the pixels of the stored levels went through, one line for levels that are alike.

    Reads the file, and may take a second a level.
    """
    lines: list[tuple[str, list[str]]] = []
    for level in slide.levels:
        words = level.history
        if not lines or lines[-1][0] != words:
            lines.append((words, []))
        lines[-1][1].append(f"{level.downsample:.4g}")
    if len(lines) == 1:
        return lines[0][0]
    return "\n".join(
        f"{factors[0] if len(factors) == 1 else f'{factors[0]}–{factors[-1]}'}: {words}"
        for words, factors in lines
    )


def user_mpp(slide: Slide) -> float | None:
    """The pixel size that the user set; None where the file's holds."""
    return slide.mpp if slide.mpp_by_user else None


def wants_icc(slide: Slide) -> bool:
    """Whether the profile is applied, or would be if there was one."""
    return slide.icc or slide.icc_profile is None or slide.icc_note is not None
