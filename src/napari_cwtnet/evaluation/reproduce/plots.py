"""PSNR against time and against parameters, as small JPEG pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from napari_cwtnet.errors import RequestError
from napari_cwtnet.files import written_whole

AXES = {
    "training": ("cpu_seconds", "training, CPU seconds"),
    "time": ("cpu_seconds_per_megapixel", "CPU seconds per megapixel of SR"),
    "parameters": ("parameters", "parameters"),
}
"""What is across: a field of a table's rows, and how it is called."""

_QUALITY = 85


def plot_rows(
    rows: Sequence[dict[str, Any]], what: str, title: str, compared: str, path: Path
) -> None:
    """One picture; rows that are trained only, those given the reference left out.

    Parameters
    ----------
    rows : sequence of dict
        As in a table's JSON file.
    what : {"training", "time", "parameters"}
        What is across.
    title : str
        Above it.
    compared : str
        The row that is drawn in another colour.
    path : Path
        Ends in ``.jpg``.

    Raises
    ------
    RequestError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RequestError(
            "Plots need matplotlib; install napari-cwtnet[evidence], or leave the page out."
        ) from error
    field, label = AXES[what]
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for row in rows:
        own = row["row"]["name"] == compared
        across, up = row[field], row["psnr"]["mean"]
        axes.errorbar(
            across,
            up,
            yerr=row["psnr"]["deviation"] or None,
            marker="o" if own else "s",
            markersize=9 if own else 6,
            color="#b5179e" if own else "#4361ee",
            capsize=3,
        )
        axes.annotate(
            row["row"]["name"],
            (across, up),
            xytext=(-9, 4) if own else (7, 4),  # left: its neighbours' names go to the right
            horizontalalignment="right" if own else "left",
            textcoords="offset points",
            fontsize=9,
        )
    axes.margins(x=0.18, y=0.12)
    axes.set(xlabel=label, ylabel="PSNR, dB, on held-out images", title=title)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    drawn = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(drawn, format="png", dpi=110)
    picture = Image.open(drawn).convert("RGB")
    with written_whole(path) as partial:
        picture.save(partial, format="JPEG", quality=_QUALITY, optimize=True)
