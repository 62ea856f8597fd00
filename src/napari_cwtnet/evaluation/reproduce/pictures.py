"""Pictures of a table: plots of PSNR against time or parameters, and sheets of test fields."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_cwtnet.errors import RequestError
from napari_cwtnet.files import written_whole
from napari_cwtnet.training.slide_fields import tissue_mask

if TYPE_CHECKING:
    from matplotlib.figure import Figure


AXES = {
    "training": ("cpu_seconds", "training, CPU seconds", 1),
    "time": ("cpu_seconds_per_megapixel", "CPU seconds per megapixel of SR", 1),
    "parameters": ("parameters", "parameters, thousands", 1000),
}
"""Horizontal axes: field of a table's rows, label, and unit."""

_QUALITY = 85
_CLEAR = 0.55
_OWN = ("o", "#d1006c")
_OTHERS = (
    ("s", "#0072b2"),
    ("^", "#009e73"),
    ("v", "#a65e00"),
    ("D", "#4b0082"),
    ("P", "#e69f00"),
    ("X", "#56b4e9"),
    ("<", "#222222"),
    (">", "#8a8a00"),
    ("*", "#7f7f7f"),
)
"""Marker and colour; either distinguishes rows, also in grey and for colour-blind readers."""


def require_matplotlib() -> None:
    """Raise :class:`RequestError` where plots cannot be drawn."""
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise RequestError(
            'Plots need matplotlib; install it (pip install matplotlib), or ".[evidence]" in a '
            "clone of napari-cwtnet."
        ) from error


def plot_rows(
    rows: Sequence[dict[str, Any]], what: str, title: str, compared: str, path: Path
) -> None:
    """One picture, as :func:`figure_of` makes it; ``path`` ends in ``.jpg``.

    Raises
    ------
    RequestError
        If matplotlib is not installed.
    """
    figure = figure_of(rows, what, title, compared)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    picture = Image.open(drawn).convert("RGB")
    with written_whole(path) as partial:
        picture.save(partial, format="JPEG", quality=_QUALITY, subsampling=0, optimize=True)


def figure_of(rows: Sequence[dict[str, Any]], what: str, title: str, compared: str) -> Figure:
    """Plot with one mark a row and a legend of names and values, the best on top.

    Parameters
    ----------
    rows : sequence of dict
        Trained rows of a table's JSON file, without those given the reference.
    what : {"training", "time", "parameters"}
        The horizontal axis.
    title : str
        Title of the plot.
    compared : str
        The row with the same mark in every picture.

    Raises
    ------
    RequestError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

    field, label, unit = AXES[what]
    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    marks = marks_of([row["row"]["name"] for row in rows], compared)
    best_first = sorted(rows, key=lambda row: -row["psnr"]["mean"])
    for number, row in enumerate(best_first):
        name, spread = row["row"]["name"], row["psnr"]
        marker, colour = marks[name]
        across, up, depth = row[field] / unit, spread["mean"], 3 + len(rows) - number
        axes.errorbar(across, up, yerr=spread["deviation"] or None, color=colour, zorder=depth)
        axes.plot(
            across,
            up,
            marker=marker,
            markersize=10,
            markerfacecolor=(*to_rgb(colour), _CLEAR),  # overlapping marks both stay visible
            color=colour,
            linestyle="none",
            zorder=depth,
            label=f"{name}: {up:.2f} dB at {across:.3g}",
        )
    seeds = any(row["psnr"]["deviation"] for row in rows)
    figure.legend(
        loc="outside right upper",
        title="bars: deviation over seeds" if seeds else None,
        frameon=False,
        labelspacing=0.8,
    )
    axes.margins(x=0.08, y=0.12)
    axes.set(xlabel=label, ylabel="PSNR, dB, on held-out images", title=title)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def marks_of(names: Sequence[str], compared: str) -> dict[str, tuple[str, str]]:
    """Marker and colour of every row, all different, by their order in the table.

    Raises
    ------
    ValueError
        If there are more rows than marks.
    """
    others = [name for name in names if name != compared]
    marks = dict(zip(others, _OTHERS[: len(others)], strict=True))
    return marks | {compared: _OWN}


GIVEN = "-given-the-reference"
"""Part of the file name of a sheet whose rows start from the next-higher level."""

SIDE = 112
"""Side of a shown part, truth pixels; shown at twice the size."""

SHOWN = 2
"""Number of fields with a sheet."""

LEAST_SHOWN_TISSUE = 0.5
"""Least share of tissue in the shown part; with less it is mostly empty glass."""

RULE = (
    f"{SHOWN} by chance (seed 0) from those whose middle, as shown, is tissue in "
    f"{LEAST_SHOWN_TISSUE:.0%} of its pixels or more; where these are too few, from the others"
)
"""How fields are chosen for the sheets, in words."""

_ENLARGED = 2
_CAPTION = 34
_ACROSS = 6
_GAP = 6
_STRIP_QUALITY = 82
_CAPTIONS = str.maketrans({"×": "x", "λ": "lambda"})
"""Characters that Pillow's own font lacks."""


def middle(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle ``side × side`` pixels of ``(h, w, 3)``, or all of a smaller one."""
    height, width = image.shape[:2]
    h, w = min(side, height), min(side, width)
    y, x = (height - h) // 2, (width - w) // 2
    return image[y : y + h, x : x + w]


def chosen_for_sheets(truths: Sequence[NDArray[np.uint8]]) -> list[int]:
    """Indices of the fields to show, by `RULE`, from their truths ``(h, w, 3)``."""
    drawn: list[int] = np.random.default_rng(0).permutation(len(truths)).tolist()
    tissue = [tissue_mask(middle(truth, SIDE)).mean() for truth in truths]
    drawn.sort(key=lambda index: bool(tissue[index] < LEAST_SHOWN_TISSUE))  # else as drawn
    return drawn[:SHOWN]


def save_strip(parts: Mapping[str, NDArray[np.uint8]], path: Path) -> None:
    """Write a sheet of pictures, each below its name.

    Parameters
    ----------
    parts : mapping of str to array
        ``(h, w, 3)`` uint8; a smaller LR is shown with larger pixels.
    path : Path
        Ends in ``.jpg``.
    """
    side = max(max(image.shape[:2]) for image in parts.values()) * _ENLARGED
    columns = min(_ACROSS, len(parts))
    rows = -(-len(parts) // columns)
    size = (columns * (side + _GAP) + _GAP, rows * (side + _CAPTION + _GAP) + _GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for number, (name, image) in enumerate(parts.items()):
        x = _GAP + (number % columns) * (side + _GAP)
        y = _GAP + (number // columns) * (side + _CAPTION + _GAP)
        caption = name.translate(_CAPTIONS)
        draw.multiline_text((x, y), caption, fill="black", font=font, spacing=2)
        shown = Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(shown, (x, y + _CAPTION))
    with written_whole(path) as partial:
        sheet.save(partial, format="JPEG", quality=_STRIP_QUALITY, optimize=True)
