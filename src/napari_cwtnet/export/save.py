"""A computed image into a file: PNG, OME-TIFF, OME-Zarr or DICOM, by the ending of its name."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.dicom import check_pydicom, is_computed_dicom
from napari_cwtnet.export.formats import DICOM, PNG, TIFF, ZARR, write_levels
from napari_cwtnet.export.mark import is_mark, marked_path, remove_mark
from napari_cwtnet.export.ome_zarr import is_computed_zarr
from napari_cwtnet.export.pyramid import Count, Progress, halved, image_place
from napari_cwtnet.export.record import (
    image_record,
    is_sidecar,
    level_digest,
    sidecar_path,
    write_sidecar,
)
from napari_cwtnet.files import cannot_write, check_names, check_writable, written_whole
from napari_cwtnet.geometry import Size
from napari_cwtnet.inspection.calibration import in_pixels
from napari_cwtnet.slides.colour import SRGB_PROFILE

_GAP = 8
_LINE = 22
_FONT_SIZE = 15
_INK = (20, 20, 20)
_COMPUTED_INK = (170, 30, 30)
# Pillow's own font, the only one that is always there, has no other signs for these.
PLAIN = str.maketrans({"µ": "u", "×": "x", "—": "-"})


def labelled(image: NDArray[np.uint8], lines: Sequence[str], *, computed: bool) -> Image.Image:
    """An image ``(height, width, 3)`` with lines of text above it; red says computed."""
    header = _LINE * len(lines) + _GAP
    panel = Image.new("RGB", (image.shape[1], image.shape[0] + header), "white")
    panel.paste(Image.fromarray(np.ascontiguousarray(image)), (0, header))
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(_FONT_SIZE)
    for number, line in enumerate(lines):
        ink = _COMPUTED_INK if computed and number == 0 else _INK
        draw.text((2, 2 + number * _LINE), line.translate(PLAIN), fill=ink, font=font)
    return panel


def magnified_centre(image: NDArray[np.uint8], side: int, factor: int) -> NDArray[np.uint8]:
    """The middle ``side × side`` pixels, each shown as ``factor × factor`` of its own colour."""
    height, width = image.shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    centre = image[top : top + side, left : left + side]
    return centre.repeat(factor, axis=0).repeat(factor, axis=1)


def side_by_side(panels: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """Panels in one row on white, ``(height, width, 3)`` uint8."""
    width = sum(p.width for p in panels) + _GAP * (len(panels) + 1)
    height = max(p.height for p in panels) + 2 * _GAP
    row = Image.new("RGB", (width, height), "white")
    left = _GAP
    for panel in panels:
        row.paste(panel, (left, _GAP))
        left += panel.width + _GAP
    return np.asarray(row)


_BADGE_BOX, _BADGE_INK = (122, 31, 31), (255, 255, 255)
_FONT_SIZES = (10, 28)
_MARGIN = 4


def write_png(
    path: Path, image: NDArray[np.uint8], provenance: Mapping[str, Any], mpp: float | None
) -> None:
    """Write ``(height, width, 3)`` uint8 RGB, or a mask ``(height, width)``."""
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("Title", provenance.get("badge", "COMPUTED"))
    notes.add_itxt("Comment", json.dumps(dict(provenance), ensure_ascii=False))
    options: dict[str, Any] = {}
    if mpp is not None:
        place = image_place(provenance, mpp)
        options["dpi"] = (25_400 / place.width, 25_400 / place.height)
    if provenance.get("icc_to_srgb"):
        options["icc_profile"] = SRGB_PROFILE
    Image.fromarray(image).save(path, format="PNG", pnginfo=notes, **options)


def with_badge(image: NDArray[np.uint8], badge: str) -> NDArray[np.uint8]:
    """A copy of an image with its badge on the upper edge, for people; no longer for measuring.

    The size stays; a picture too narrow for the badge gets it on several lines.
    """
    picture = Image.fromarray(image)  # copies
    smallest, largest = _FONT_SIZES
    font = ImageFont.load_default(min(largest, max(smallest, picture.width // 45)))
    draw = ImageDraw.Draw(picture)
    text = badge.translate(PLAIN)
    while draw.multiline_textbbox((0, 0), text, font=font)[2] > picture.width - 2 * _MARGIN:
        longest = max(len(line) for line in text.splitlines())
        if longest <= 1:
            break
        text = "\n".join(textwrap.wrap(badge.translate(PLAIN), longest - 1))
    bottom = draw.multiline_textbbox((_MARGIN, _MARGIN), text, font=font)[3]
    draw.rectangle((0, 0, picture.width, bottom + _MARGIN), fill=_BADGE_BOX)
    draw.multiline_text((_MARGIN, _MARGIN), text, fill=_BADGE_INK, font=font)
    return np.asarray(picture)


def check_output(path: Path, slide: Path | None = None) -> None:
    """Refuse, before anything is computed, an output that cannot or should not be written.

    Parameters
    ----------
    path : Path
        Where the image is to go, and its record beside it.
    slide : Path, optional
        What is read, which need not be there.

    Raises
    ------
    OutputError
        If the ending is unknown, the folder does not exist or cannot be written to, or something
        is in the way that this program did not write: a folder, the slide, or a file of the
        record's name.
    """
    _check_image(path)
    if slide is not None and _is_same(path, slide):
        raise OutputError(f"Output {path} is the slide itself; choose another name.")
    record = sidecar_path(path)
    check_names(path, record)
    if record.exists() and not is_sidecar(record):
        raise OutputError(
            f"Output {path} would have its record in {record.name}, which is there and not this "
            "program's; give another name."
        )
    check_writable(path)


def _check_image(path: Path) -> None:
    try:
        _refuse_place(path)
    except OSError as error:  # such as a name that is too long
        raise cannot_write(path, error) from error


def _refuse_place(path: Path) -> None:
    name = path.name.lower()
    if not name.endswith(PNG + TIFF + ZARR + DICOM):
        raise OutputError(
            f"Output {path} has an unknown ending; choose .png, .ome.tif, .ome.zarr or .dicom."
        )
    if name.endswith(DICOM):
        check_pydicom()
    if not path.parent.is_dir():
        raise OutputError(f"Folder {path.parent} does not exist; make it or choose another output.")
    if any((folder / "zarr.json").exists() for folder in path.absolute().parents):
        raise OutputError(f"Output {path} is inside a Zarr image; choose the folder around it.")
    if name.endswith(ZARR + DICOM):
        is_own = is_computed_zarr if name.endswith(ZARR) else is_computed_dicom
        if path.exists() and not is_own(path):
            raise OutputError(
                f"Output {path} is there, and holds more than an image that this program wrote; "
                "give another name."
            )
    elif path.is_dir():
        raise OutputError(f"Output {path} is a folder; give the name of a file.")


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them is not there
        return False


def save_image(
    path: str | os.PathLike[str],
    image: NDArray[np.uint8],
    provenance: Mapping[str, Any],
    mpp: float | None,
    progress: Progress | None = None,
) -> None:
    """Write a computed image, whole or not at all.

    Parameters
    ----------
    path : path-like
        Ends in ``.png`` (provenance as text chunks), ``.ome.tif`` (tiled pyramid, pixel size and
        place in µm, provenance as map annotation), ``.ome.zarr`` (the same as NGFF 0.5,
        provenance in the attributes) or ``.dicom`` (a folder with a whole-slide instance for each
        level, provenance in Image Comments).
    image : ndarray
        ``(height, width, 3)`` uint8 RGB; as PNG also a mask ``(height, width)``.
    provenance : mapping
        JSON values; ``badge`` names the image.
    mpp : float or None
        µm per pixel.
    progress : callable, optional
        Called with the parts written and the parts in all; what it raises ends the writing.

    Raises
    ------
    OutputError
        If the ending is unknown, or the folder is missing, not writable or full.
    """
    path = Path(path)
    _check_image(path)
    _write(path, _levels(path, image), {"computed": True, **provenance}, mpp, progress)


def _levels(path: Path, image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [image] if path.name.lower().endswith(PNG) else [image, *halved(image)]


def _write(
    path: Path,
    levels: Sequence[NDArray[np.uint8]],
    record: Mapping[str, Any],
    mpp: float | None,
    progress: Progress | None,
) -> None:
    """Replace an image; files beside an older one go first, since they describe other pixels."""
    name, count, beside = path.name.lower(), Count(progress), sidecar_path(path)
    older = beside if is_sidecar(beside) else None
    if not name.endswith(PNG):
        write_levels(path, levels, record, mpp, count, derived=older)
        return
    with written_whole(path, derived=older) as partial:
        write_png(partial, levels[0], record, mpp)
        count.one_more()
        remove_mark(path)


def export_image(
    path: str | os.PathLike[str],
    image: NDArray[np.uint8],
    provenance: Mapping[str, Any],
    mpp: float | None,
    *,
    badge_on_pixels: bool = False,
    figures: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a computed image with its record, and the same record beside it as ``NAME.json``.

    Parameters
    ----------
    path, image, provenance, mpp, progress
        As :func:`save_image` takes them.
    badge_on_pixels : bool
        Draw the badge on the pixels; for PNG only.
    figures : mapping, optional
        PSNR and SSIM against the slide, for the record.

    Raises
    ------
    OutputError
        If the badge is wanted in a format for measuring, or a file cannot be written.
    """
    path = Path(path)
    check_badge(path, badge_on_pixels)
    check_output(path)
    size = Size(int(image.shape[1]), int(image.shape[0]))
    if badge_on_pixels:
        image = with_badge(image, str(provenance.get("badge", "COMPUTED")))
    levels = _levels(path, image)
    record = image_record(
        provenance,
        size,
        [level_digest(level) for level in levels],
        badge_on_pixels=badge_on_pixels,
        figures=figures,
    )
    _write(path, levels, record, mpp, progress)
    write_sidecar(path, record)


def check_mark(output: Path, slide: Path | None = None) -> None:
    """Refuse, as :func:`check_output` does, an image whose mask cannot be written beside it.

    Raises
    ------
    OutputError
        If so, or if another file has the mask's name.
    """
    path = marked_path(output)
    check_output(path, slide)
    if path.exists() and not is_mark(path):
        raise OutputError(
            f"Output {output} would have its mask in {path.name}, which is there and not this "
            "program's; give another name."
        )


def save_mark(
    output: Path,
    squares: NDArray[np.bool_],
    image: NDArray[np.uint8],
    provenance: Mapping[str, Any],
    mpp: float | None,
) -> Path:
    """Write the mask of an image, 255 where not to rely on it; gives its path.

    Parameters
    ----------
    output : Path
        Of the image.
    squares : ndarray
        Whether each square of 8 × 8 pixels is marked.
    image : ndarray
        ``(height, width, ...)``.
    provenance : mapping
        Of the image, with ``trust``.
    mpp : float or None
        µm per pixel.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    height, width = image.shape[:2]
    path = marked_path(output)
    save_image(path, in_pixels(squares, height, width) * np.uint8(255), provenance, mpp)
    return path


def check_badge(path: Path, badge_on_pixels: bool) -> None:
    """Refuse to draw the badge into a file whose pixels are for measuring.

    Raises
    ------
    OutputError
        If ``path`` is not a PNG.
    """
    if badge_on_pixels and not path.name.lower().endswith(PNG):
        raise OutputError(f"The badge is drawn on PNG pictures only; {path.name} keeps its pixels.")
