"""How a job is spoken of: what it will do, and what it is at."""

from __future__ import annotations

import math

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.geometry import describe_resolution
from napari_cwtnet.plugin.enhance_run import Run


def progress_words(run: Run | None, *, cancelling: bool) -> str:
    """Tiles done, pace and time left, or what else it is at; ``None`` is a run that waits."""
    if run is None:
        return "Waiting for the tile at work…"
    if cancelling:
        return "Cancelling…"
    if run.picture is None:
        return "Loading the model…"
    if run.phase == "measuring":
        return "Comparing with the slide's own pixels…"
    parts = [f"{run.done} of {len(run.picture.plan.tiles)} tiles"]
    pace = run.pace
    if pace is not None:
        per_second, left = pace
        parts += [f"{per_second:.1f} tiles/s", f"{time_words(left)} left"]
    return " · ".join(parts)


def time_words(seconds: float) -> str:
    """Seconds up to two minutes, minutes beyond, rounded up: what is left.

    >>> time_words(4.2), time_words(150)
    ('5 s', '3 min')
    """
    whole = math.ceil(seconds)
    return f"{whole} s" if whole <= 120 else f"{-(-whole // 60)} min"


def spent_words(seconds: float) -> str:
    """The same of the past, which is rounded to the nearest.

    >>> spent_words(120.8), spent_words(200)
    ('2 min', '3 min')
    """
    return f"{seconds:.0f} s" if seconds < 119.5 else f"{seconds / 60:.0f} min"


def of_the_roi(plan: Plan) -> str:
    """How large and how fine an ROI's result will be, which is seldom looked at before."""
    pixel = describe_resolution(plan.native_mpp, plan.output_downsample)
    words = f"ROI: writes {pixel}, {_work(plan)}."
    if plan.output_downsample > 1:
        words += " The slide is finer: choose a finer source level, or Auto and zoom in."
    return words


def _work(plan: Plan) -> str:
    width, height = plan.output_size
    count = len(plan.tiles)
    tiles = "1 tile" if count == 1 else f"{count:,} tiles"
    return f"{width:,} × {height:,} pixels, {tiles}"


def what_will_happen(plan: Plan) -> str:
    """The plan's sentence, and how much work it is."""
    sentence = plan.sentence[:1].upper() + plan.sentence[1:]
    words = f"{sentence}.\n{_work(plan)}."
    if plan.checkable:
        # Without this, people wonder why the enhanced view is not sharper than the slide.
        words += "\nA check: the slide is as sharp here itself. Zoom in further to go beyond it."
    elif plan.source_computed:
        words += "\nOpen the slide that it was made from to enhance what was scanned."
    return words
