"""Status text: what a job will do, where it is, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from napari_cwtnet.enhancement import Plan, choose_device
from napari_cwtnet.enhancement.check import Check
from napari_cwtnet.enhancement.plan import UNCHECKED
from napari_cwtnet.enhancement.target import Target
from napari_cwtnet.geometry import describe_resolution
from napari_cwtnet.plugin.tasks.enhance import EnhanceRun
from napari_cwtnet.plugin.tasks.finetune import FinetuneRun, Outcome
from napari_cwtnet.plugin.tasks.finetune_history import History, cross_scale
from napari_cwtnet.plugin.viewer.finetune_request import FinetunePlan, SlideChoice
from napari_cwtnet.training.events import Validation
from napari_cwtnet.training.recipe import Recipe, SlideSource
from napari_cwtnet.training.run_folder import RunFolder
from napari_cwtnet.training.split import Split

_LOADING_S = 0.3
"""A model that is in memory is found sooner; words for a moment would only flicker."""


def progress_words(run: EnhanceRun | None, *, cancelling: bool) -> str:
    """Tiles done, pace and time left, or what else it is at; ``None`` is a run that waits."""
    if run is None:
        return "Waiting for the current tile…"
    if cancelling:
        return "Cancelling…"
    if run.phase == "loading" and run.seconds > _LOADING_S:
        return "Loading the model…"
    if run.phase == "measuring" and run.done == run.total:
        return "Comparing with the slide's own pixels…"
    several = len(run.parts) > 1
    parts = [f"ROI {run.number} of {len(run.parts)}"] if several else []
    parts.append(f"{run.done} of {run.total} tiles")
    pace = run.pace
    if pace is not None:
        per_second, left = pace
        parts += [f"{per_second:.1f} tiles/s", f"{time_words(left)} left"]
    return " · ".join(parts)


def time_words(seconds: float) -> str:
    """Seconds up to two minutes, then minutes, hours, days, rounded up: what is left.

    >>> time_words(4.2), time_words(150), time_words(9000), time_words(200_000)
    ('5 s', '3 min', '3 h', '3 days')
    """
    whole = math.ceil(seconds)
    for most, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if whole <= most:
            return f"{-(-whole // unit)} {name}"
    return f"{-(-whole // 86_400)} days"


def spent_words(seconds: float) -> str:
    """The same of the past, which is rounded to the nearest.

    >>> spent_words(120.8), spent_words(200)
    ('2 min', '3 min')
    """
    return f"{seconds:.0f} s" if seconds < 119.5 else f"{seconds / 60:.0f} min"


def of_the_rois(plans: Sequence[Plan], left_out: int) -> str:
    """How large and how fine the results of ROIs will be, and how many shapes are left out."""
    plan = plans[0]
    pixel = describe_resolution(plan.native_mpp, plan.output_downsample)
    words = f"ROI: writes {pixel}, {_work(plan)}."
    if len(plans) > 1:
        tiles = _count(sum(len(each.tiles) for each in plans), "tile")
        words = f"{len(plans)} ROIs: writes {pixel}, {tiles} in all."
    if plan.output_downsample > 1:
        words += " The slide is finer: choose a finer source level, or Auto and zoom in."
    if left_out:
        are = "1 more shape is" if left_out == 1 else f"{left_out} more shapes are"
        words += f" {are} not selected; press A with the select tool to select all."
    return words


def _work(plan: Plan) -> str:
    width, height = plan.output_size
    count = len(plan.tiles)
    tiles = "1 tile" if count == 1 else f"{count:,} tiles"
    return f"{width:,} × {height:,} pixels, {tiles}"


def capital(words: str) -> str:
    """Words that begin a sentence."""
    return words[:1].upper() + words[1:]


def what_will_happen(plan: Plan) -> str:
    """The plan's sentence, and how much work it is."""
    sentence = capital(plan.sentence)
    if plan.downsample == 1 and not plan.source_computed:
        sentence = f"{Target(plan.scale).words(plan.native_mpp)}. {capital(UNCHECKED)}"
    words = f"{sentence}.\n{_work(plan)}."
    if plan.checkable:
        # Without this, people wonder why the enhanced view is not sharper than the slide.
        words += "\nA check: the slide is as sharp here itself. Zoom in further to go beyond it."
    elif plan.source_computed:
        words += "\nOpen the slide that it was made from to enhance what was scanned."
    elif plan.beyond_native:
        warning = Target(round(1 / plan.output_downsample)).beyond_the_lens(plan.native_mpp)
        words += f"\n{warning}" if warning else ""
    return words


def gain_of(check: Check) -> str:
    """What a check comes to, in one line."""
    if check.mode == "oracle":
        return "The model was given the answer"
    return capital(check.quality.comparison("WORSE"))


def what_will_be_learnt(plan: FinetunePlan) -> str:
    """The plan in sentences, a line each: what from, what on, and for how long."""
    lines = [
        _from_where(source, slide, split, plan.recipe.scale)
        for source, slide, split in zip(plan.recipe.slides, plan.slides, plan.splits, strict=True)
    ]
    return "\n".join([*lines, _for_how_long(plan.recipe, plan.header.name)])


def what_will_go_on(run: RunFolder) -> str:
    """A run that is taken up, in sentences."""
    recipe = run.recipe
    start = "a model" if recipe.start is None else Path(recipe.start.name).stem
    slides = ", ".join(Path(slide.path).stem for slide in recipe.slides)
    return (
        f"Goes on with {recipe.name} from step {run.step:,}, where {run.share:.0%} of its budget "
        f"was used.\n{_for_how_long(recipe, start)}\nLearns from {slides}."
    )


def _from_where(source: SlideSource, slide: SlideChoice, split: Split, scale: int) -> str:
    fine = source.downsamples[0]
    pixels = (
        f"{describe_resolution(slide.mpp, fine * scale)} → {describe_resolution(slide.mpp, fine)}"
    )
    share = round(100 * source.held_out_share)
    parts = "" if not source.regions else f"{_count(len(source.regions), 'region')} of "
    if source.held_out:
        learnt = f"{parts}{slide.name}"
        measured = _count(len(source.held_out), "region") + " kept apart"
    else:
        each = " of each" if len(source.regions) > 1 else ""
        learnt = f"the left {100 - share} % of {parts}{slide.name}"
        measured = f"the right {share} %{each}"
    guard = f"{split.guard:g} px"
    if slide.mpp is not None:
        guard = f"{split.guard * slide.mpp:.0f} µm ({guard})"
    return (
        f"Learns {pixels} from {learnt}, is measured on {measured}; "
        f"a guard band of {guard} between them is left out."
    )


def _for_how_long(recipe: Recipe, model: str) -> str:
    device = choose_device(recipe.device)
    minutes = f"{recipe.minutes:g} min" if recipe.minutes is not None else f"{recipe.steps} steps"
    return (
        f"Starts from {model}, for at most {minutes} on {device}; pauses do not count. "
        f"If it improves, {recipe.name} is added to the model list."
    )


def _count(number: int, word: str) -> str:
    return f"1 {word}" if number == 1 else f"{number} {word}s"


def finetune_progress_words(run: FinetuneRun) -> str:
    """What it is at, steps done and time left."""
    done, total = run.measured
    if run.outcome is not None:
        return outcome_words(run, run.outcome)
    if run.phase == "loading":
        return "Stopping…" if run.stopping else "Reading slides…"
    if run.stopping:
        left = f" ({done} of {total} fields)" if total else ""
        return f"Stopping: measuring what was learnt last{left}…"
    if run.paused:
        return f"Paused at step {run.step:,}"
    if run.waiting:
        return f"Step {run.step:,} · waiting: another task has the device"
    if run.phase == "measuring":
        what = "the start model" if run.step == 0 else f"step {run.step:,}"
        share = f": {done} of {total}" if total else "…"
        return f"Measuring {what} on held-out fields{share}"
    seconds = run.seconds_left
    return f"Step {run.step:,}" + ("" if seconds is None else f" · {time_words(seconds)} left")


def outcome_words(run: FinetuneRun, outcome: Outcome) -> str:
    """How it ended, and what there is now."""
    if outcome.kind == "failed":
        kept = f" The best model until then is {outcome.installed}." if outcome.installed else ""
        return outcome.message + kept
    ended = {"done": "Done", "stopped": "Stopped", "closed": "Interrupted"}[outcome.kind]
    saved = "; state saved" if outcome.kind == "closed" else ""
    spent = spent_words(run.seconds)
    words = f"{ended} at step {outcome.step:,}, after {spent} of work{saved}."
    if outcome.kind == "done" and outcome.step == 0:
        return f"{words} Measuring the start model took all the time there was; give more minutes."
    if outcome.installed is not None:
        words += f" {outcome.installed} is in the models list now."
    elif run.history.start is not None:
        words += " Nothing was better than the start model, so no model was added."
    if outcome.kind != "done":
        words += " Resume continues it."
    return words


def gain_words(history: History) -> str:
    """The best model against the start model and bicubic, dB; empty while nothing is measured."""
    start, best = history.start, history.best
    if start is None or best is None:
        return ""
    lines = []
    for name, what, (before, after, bicubic) in _modes(start, best):
        gain = after - before
        words = f"{after - bicubic:+.2f} dB over {what}"
        if best is not start:
            words = f"{gain:+.2f} dB over the start model, {words}"
        lines.append(f"{name} {after:.2f} dB on held-out fields: {words}")
    if best is start:
        lines.append("So far the start model is the best.")
    return "\n".join(lines)


_Mode = tuple[str, str, tuple[float, float, float]]
"""Its name, what is enlarged without a model, and PSNR of start model, best model and of that."""


def _modes(start: Validation, best: Validation) -> list[_Mode]:
    alone = (start.psnr, best.psnr, best.psnr_bicubic)
    first, last = cross_scale(start), cross_scale(best)
    if first is None or last is None:
        return [("PSNR", "bicubic", alone)]
    paired = (first[0], *last)
    return [
        ("Cross-scale PSNR", "bicubic of the reference", paired),
        ("Single-image PSNR", "bicubic", alone),
    ]
