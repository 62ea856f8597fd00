"""A figure for people: before, after and, where there is one, the truth, with a scale bar.

Its pixels are for looking, not for measuring: a PDF holds them as JPEG, and large ones are shrunk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, PngImagePlugin

from napari_cwtnet.enhancement import Plan, Quality, enlarged, truth
from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.lettering import font_of, plain, wrapped
from napari_cwtnet.files import written_whole
from napari_cwtnet.geometry import describe_resolution
from napari_cwtnet.slides import Slide

FIGURE_SUFFIXES = (".png", ".pdf")

_SMALLEST, _LARGEST = 480, 1600
"""Width of a panel in pixels; a smaller one is magnified by whole pixels, a larger one shrunk."""
_DPI = 300
_MARGIN = 24
_PADDING = 8
_JPEG_QUALITY = 97
_INK, _COMPUTED_INK = (20, 20, 20), (140, 28, 28)
_BADGE_BOX, _WHITE, _DARK = (122, 31, 31), (255, 255, 255), (0, 0, 0)
_BAR_SHARE = 0.25
_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of a figure.

    Parameters
    ----------
    image : ndarray
        ``(height, width, 3)`` uint8 RGB; all panels of a figure have one size.
    title : str
        What is above it.
    computed : bool
        Whether a model computed it, which is then marked on it.
    """

    image: NDArray[np.uint8]
    title: str
    computed: bool = False


def result_panels(
    slide: Slide,
    plan: Plan,
    image: NDArray[np.uint8],
    box: tuple[int, int, int, int] | None = None,
) -> list[Panel]:
    """Before, after and, where the slide holds it, the truth.

    Parameters
    ----------
    slide, plan
        What was enhanced, and how.
    image : ndarray
        ``(height, width, 3)`` uint8 RGB, what came out.
    box : (left, top, right, bottom), optional
        The part to show, in pixels of ``image``; all of it if not given.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = box or (0, 0, width, height)
    part = np.s_[top:bottom, left:right]
    finest = plan.downsample / 2 if plan.with_reference else plan.downsample
    read = describe_resolution(plan.native_mpp, finest)
    made = describe_resolution(plan.native_mpp, plan.output_downsample)
    before = enlarged(slide, plan, reference=plan.with_reference)
    panels = [
        Panel(before[part], f"Before: {read}, enlarged"),
        Panel(image[part], f"After: {made}, computed", computed=True),
    ]
    real = truth(slide, plan)
    if real is not None:
        panels.append(Panel(real[part], f"Truth: {made}, scanned"))
    return panels


def result_caption(plan: Plan, quality: Quality | None) -> str:
    """What a figure shows, in sentences that name no slide."""
    words = [
        f"Computed by {plan.model_name}.",
        "Before: the finest pixels that the model read, enlarged (bicubic).",
    ]
    if plan.checkable:
        words.append(
            "Truth: the pixels that the scanner recorded there, which the model never saw."
        )
    else:
        words.append("The slide holds no such detail, so this cannot be checked.")
    if quality is not None and quality.psnr is not None:
        words.append(f"Whole result: {quality.comparison()}.")
    return " ".join(words)


def scale_bar(mpp: float, width: int) -> tuple[float, float]:
    """Length of a bar for an image ``width`` pixels wide: µm of the series 1, 2, 5, and pixels.

    >>> scale_bar(0.25, 800)
    (50.0, 200.0)
    """
    longest = _BAR_SHARE * width * mpp
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(step * power for step in _STEPS if step * power <= longest * (1 + 1e-9))
    return length, length / mpp


def draw_figure(
    panels: Sequence[Panel], *, mpp: float | None, badge: str, caption: str
) -> Image.Image:
    """Panels in a row, each with its title and a scale bar; badge and caption below.

    Parameters
    ----------
    panels : sequence of Panel
        At least one.
    mpp : float or None
        µm per pixel of the panels' images; no scale bar where it is not known.
    badge, caption : str
        One line that says what is computed, and sentences.
    """
    factor = _factor(panels[0].image.shape[1])
    height, width = (max(1, round(length * factor)) for length in panels[0].image.shape[:2])
    size = min(30, max(15, width // 32))
    font, line = font_of(size), _line(size)
    total = len(panels) * (width + _MARGIN) + _MARGIN
    titles = [wrapped(panel.title, font, width) for panel in panels]
    header = max(map(len, titles)) * line
    foot = wrapped(badge, font, total - 2 * _MARGIN - 2 * _PADDING)
    text = wrapped(caption, font, total - 2 * _MARGIN)
    top = _MARGIN + header
    strip = top + height + _MARGIN // 2
    below = strip + len(foot) * line + _PADDING
    page = Image.new("RGB", (total, below + len(text) * line + _MARGIN), "white")
    draw = ImageDraw.Draw(page)
    for number, (panel, words) in enumerate(zip(panels, titles, strict=True)):
        left = _MARGIN + number * (width + _MARGIN)
        ink = _COMPUTED_INK if panel.computed else _INK
        _write(draw, (left, top - len(words) * line), words, font, ink)
        page.paste(_resized(panel.image, (width, height), factor), (left, top))
        if panel.computed:
            _mark(draw, (left, top), font, size)
        if mpp is not None:
            _draw_bar(draw, (left + width, top + height), scale_bar(mpp / factor, width), font)
    draw.rectangle((_MARGIN, strip, total - _MARGIN - 1, below - 2), fill=_BADGE_BOX)
    _write(draw, (_MARGIN + _PADDING, strip + 2), foot, font, _WHITE)
    _write(draw, (_MARGIN, below + 2), text, font, _INK)
    return page


def check_figure(path: Path, slide: Path | None = None) -> None:
    """Refuse, before anything is drawn, a file that cannot be a figure.

    Raises
    ------
    OutputError
        If the ending is unknown, or the file is the slide.
    """
    if not path.name.lower().endswith(FIGURE_SUFFIXES):
        raise OutputError(f"Figure {path} has an unknown ending; choose .png or .pdf.")
    if slide is not None and path.absolute() == slide.absolute():
        raise OutputError(f"Figure {path} is the slide itself; choose another name.")


def write_figure(
    path: Path,
    panels: Sequence[Panel],
    provenance: Mapping[str, Any],
    *,
    mpp: float | None,
    caption: str,
) -> None:
    """Write a figure, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.png`` (provenance as text chunks) or ``.pdf`` (pictures as JPEG).
    panels, mpp, caption
        As `draw_figure` takes them.
    provenance : mapping
        JSON values; its ``badge`` is written below the panels.

    Raises
    ------
    OutputError
        If the ending is unknown, or the folder is missing, not writable or full.
    """
    check_figure(path)
    badge = str(provenance.get("badge", "COMPUTED"))
    page = draw_figure(panels, mpp=mpp, badge=badge, caption=caption)
    with written_whole(path) as partial:
        if path.name.lower().endswith(".pdf"):
            page.save(
                partial,
                format="PDF",
                resolution=_DPI,
                quality=_JPEG_QUALITY,
                subsampling=0,
                title=badge,
                subject=caption,
            )
        else:
            write_picture(partial, page, badge, provenance)


def write_picture(
    path: Path, page: Image.Image, title: str, provenance: Mapping[str, Any] | None = None
) -> None:
    """Write a PNG for people, which says in its text chunks what is computed."""
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("Title", title)
    if provenance is not None:
        notes.add_itxt("Comment", json.dumps(dict(provenance), ensure_ascii=False))
    page.save(path, format="PNG", pnginfo=notes, dpi=(_DPI, _DPI))


def _factor(width: int) -> float:
    """How much a panel is magnified: by a whole number, or shrunk."""
    if width >= _SMALLEST:
        return min(1.0, _LARGEST / width)
    return float(math.ceil(_SMALLEST / width))


def _resized(image: NDArray[np.uint8], size: tuple[int, int], factor: float) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(image))
    if factor == 1:
        return picture
    way = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
    return picture.resize(size, way)


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    lines: Sequence[str],
    font: Any,
    ink: tuple[int, int, int],
) -> None:
    for number, line in enumerate(lines):
        draw.text((place[0], place[1] + number * _line(font.size)), line, fill=ink, font=font)


def _line(size: float) -> int:
    return round(1.5 * size)


def _mark(draw: ImageDraw.ImageDraw, corner: tuple[int, int], font: Any, size: int) -> None:
    """On the picture itself, for whoever cuts it out of the figure."""
    x, y = corner
    words = "COMPUTED"
    draw.rectangle(
        (x, y, x + font.getlength(words) + 2 * _PADDING, y + 1.6 * size), fill=_BADGE_BOX
    )
    draw.text((x + _PADDING, y + 0.15 * size), words, fill=_WHITE, font=font)


def _draw_bar(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], bar: tuple[float, float], font: Any
) -> None:
    """White with dark edges, so that it is seen on any tissue; from the lower right corner."""
    length, pixels = bar
    thick = max(4, font.size // 4)
    right, bottom = corner[0] - 2 * _PADDING, corner[1] - 2 * _PADDING
    left = right - pixels
    draw.rectangle((left - 1, bottom - thick - 1, right + 1, bottom + 1), fill=_DARK)
    draw.rectangle((left, bottom - thick, right, bottom), fill=_WHITE)
    words = plain(f"{length:g} µm", font)
    x = (left + right - font.getlength(words)) / 2
    draw.text(
        (x, bottom - thick - 1.5 * font.size),
        words,
        fill=_WHITE,
        font=font,
        stroke_width=2,
        stroke_fill=_DARK,
    )
