"""``bench``: how fast this machine does it, as ratios of things that took turns in one run."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from napari_cwtnet.cli.report import report
from napari_cwtnet.cli.terminal import tell
from napari_cwtnet.enhancement import choose_device, dtype_name, own_dtype
from napari_cwtnet.evaluation.bench import (
    TimedTask,
    Timing,
    Viewport,
    against_naive,
    in_turns,
    machine,
    memory,
    naive_memory,
    peaks,
    reading,
    untrained,
    viewport,
)
from napari_cwtnet.model import list_models, load_model
from napari_cwtnet.model.weights import read_header
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.sample import sample_slide


class Rounds:
    """Says which round it is and what is measured in it, a line for each model or part.

    Parameters
    ----------
    rounds : int
        Those that count; one more comes first.
    joint : str
        Between the name of a model or part and what of it is timed.
    """

    def __init__(self, rounds: int, joint: str) -> None:
        self._rounds, self._joint = rounds + 1, joint
        self._began = time.monotonic()
        self._said: tuple[int, str] | None = None

    def __call__(self, name: str, done: int, total: int) -> None:
        """TimedTask ``name`` begins, when ``done`` of ``total`` are over."""
        turn = done * self._rounds // total
        group = name.partition(self._joint)[0]
        if (turn, group) == self._said:
            return
        self._said = turn, group
        if turn == 0:
            tell(f"first round, which is not counted: {group}")
        else:
            left = (time.monotonic() - self._began) * (total - done) / done
            tell(f"round {turn} of {self._rounds - 1}, {left / 60:.1f} min left: {group}")


PARTS = ("view", "naive", "reading", "memory")
PAPER_SIZE = "house"
"""Preset of the untrained ×2 network of the paper's size that is among the views."""
_JOINT = " | "


def run(arguments: argparse.Namespace) -> None:
    """Measure and report."""
    device = choose_device(arguments.device)
    path = arguments.slide or sample_slide()
    parts = arguments.only or PARTS
    names = arguments.models or [
        name
        for name, path in list_models().items()
        if name.startswith("cwtnet-")
        and not name.endswith("-single")
        and not read_header(path).purpose
    ]
    tops = peaks(device)
    tasks: dict[tuple[str, str], TimedTask] = {
        ("peak", name): task for name, (_, task) in tops.items()
    }
    views: dict[str, Viewport] = {}
    with open_slide(path) as slide:
        if "view" in parts:
            models = [load_model(name) for name in names]
            if arguments.models is None:
                models.append(untrained(PAPER_SIZE, 2))
            for model in models:
                for dtype in dict.fromkeys(("float32", dtype_name(own_dtype(device)))):
                    tell(f"preparing the view: {model.name} {dtype}")
                    view = viewport(
                        slide, model, arguments.side, arguments.downsample, str(device), dtype=dtype
                    )
                    views[f"{model.name} {view.dtype}"] = view
        for name, view in views.items():
            tasks |= {(name, what): task for what, task in view.tasks.items()}
        if "naive" in parts:
            sides = tuple(arguments.naive_sides)
            naive = against_naive(sides, device, arguments.naive_size)
            tasks |= {("naive", what): task for what, task in naive.items()}
        if "reading" in parts:
            tasks |= {("reading", what): task for what, task in reading(path).items()}
        times = in_turns(
            {_JOINT.join(key): task for key, task in tasks.items()},
            arguments.repeats,
            Rounds(arguments.repeats, _JOINT),
        )
    found = {key: times[_JOINT.join(key)] for key in tasks}
    speeds = {name: tops[name][0] / found["peak", name].median / 1e9 for name in tops}
    result: dict[str, Any] = {
        "machine": machine(device),
        "repeats": arguments.repeats,
        "peak_gflops": {name: round(speed, 1) for name, speed in speeds.items()},
    }
    if views:
        result["views"] = {
            name: _view(view, _of(found, name), speeds) for name, view in views.items()
        }
    if "naive" in parts:
        result["naive"] = _times_faster(_of(found, "naive"))
        tell("memory of the attention, against the naive one's")
        for name, mib in naive_memory(sides, arguments.naive_size).items():
            result["naive"][name]["extra_mib"] = mib
    if "reading" in parts:
        plain, ours = _of(found, "reading").values()
        result["reading"] = {
            "openslide_python": plain.as_dict(),
            "slide_read": ours.as_dict(),
            "times_faster": round(plain.median / ours.median, 2),
        }
    if "memory" in parts:
        result["memory"] = memory(
            path,
            names[0],
            str(device),
            tuple(arguments.megapixels),
            progress=lambda size: tell(f"memory of {names[0]}: {size} megapixels"),
        )
    report(result if arguments.json else _lines(result), as_json=arguments.json)


def _of(found: Mapping[tuple[str, str], Timing], group: str) -> dict[str, Timing]:
    return {what: timing for (owner, what), timing in found.items() if owner == group}


def _view(
    view: Viewport, times: Mapping[str, Timing], speeds: Mapping[str, float]
) -> dict[str, Any]:
    """Times of one model in one precision, and their ratios.

    The limit is what the convolutions of the view would take, without any halo, at the better of
    the two speeds that the device reaches in that precision.
    """
    gflops = max(speed for name, speed in speeds.items() if name.endswith(f" {view.dtype}"))
    limit = view.flops / (gflops * 1e9)
    whole = times["end to end"].median
    return {
        "mode": view.mode,
        "dtype": view.dtype,
        "tiles": view.tiles,
        "fraction_of_limit": _three_digits(limit / whole),
        "fraction_of_limit_network_only": _three_digits(limit / times["network only"].median),
        "first_tile_share": round(times["first tile"].median / whole, 3),
        "pan_by_a_quarter_share": round(times["pan by a quarter"].median / whole, 3),
        "cached_share": round(times["cached"].median / whole, 4),
        "times": {name: timing.as_dict() for name, timing in times.items()},
    }


def _three_digits(share: float) -> float:
    return float(f"{share:.3g}")


def _times_faster(times: Mapping[str, Timing]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, timing in times.items():
        search, side = name.split(", ")
        ratio = times[f"naive, {side}"].median / timing.median
        found[name] = timing.as_dict() | ({} if search == "naive" else {"times_faster": ratio})
    return found


def _lines(result: Mapping[str, Any]) -> dict[str, Any]:
    """For people: one line a model and ratio, absolute times left to ``--json``."""
    lines: dict[str, Any] = dict(result["machine"])
    lines["GFLOP/s"] = [f"{name}: {value:g}" for name, value in result["peak_gflops"].items()]
    for name, view in result.get("views", {}).items():
        lines[name] = (
            f"{view['times']['end to end']['median_s']:.2f} s a view of {view['tiles']} tiles, "
            f"{view['fraction_of_limit']:.2f} of the limit; of it first tile "
            f"{view['first_tile_share']:.2f}, pan {view['pan_by_a_quarter_share']:.2f}, "
            f"cached {view['cached_share']:.3f}"
        )
    for name, row in result.get("naive", {}).items():
        if "times_faster" in row:
            lines[name] = f"{row['times_faster']:.1f} times as fast as the naive attention"
            if "extra_mib" in row:
                naive = result["naive"][f"naive, {name.split(', ')[1]}"]["extra_mib"]
                lines[name] += f", {row['extra_mib']:.0f} MiB of memory for its {naive:.0f}"
    if "reading" in result:
        lines["reading"] = (
            f"{result['reading']['times_faster']:g} times as fast as openslide-python"
        )
    for size, row in result.get("memory", {}).items():
        lines[f"{size} megapixels"] = f"{row['peak_mib']:.0f} MiB at the most"
    return lines
