"""Enhance, pan and cancel in a real window, hundreds of times, and see whether anything grows.

Usage: ``python tools/soak.py [--cycles 200] [--slide FILE] [--model NAME] [--output FILE.csv]``

Each cycle enhances the view, cancels it after a tile or lets it end, and pans; every tenth also
deletes the result layer, every twentieth releases the memory. One line a cycle goes to the output:
resident memory (MiB), threads of the process, and how long Cancel took to come to rest beside how
long a tile takes. Says at the end what grew since the warm-up, and exits 1 if that is more than 2 %
of the memory or a single thread, which says something from a hundred cycles on. Needs a display;
without a slide it makes one.
"""

from __future__ import annotations

import argparse
import csv
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

LIMIT = 0.02
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one cycle left behind."""

    number: int
    kind: str
    """How its enhancement ended."""
    resident_mib: float
    threads: int
    cancel_s: float
    """From Cancel to rest; 0 where nothing was cancelled."""
    tile_s: float
    """What a computed tile of the same run took; 0 where none was finished before."""


def cycles(viewer: Any, dock: Any, count: int, pump: Callable[[float], None]) -> Iterator[Cycle]:
    """Enhance, cancel, pan.

    Parameters
    ----------
    viewer, dock
        A napari viewer with a slide in view, and the Enhance dock in it.
    count : int
        How often.
    pump : callable
        Lets the window go on for some seconds.

    Raises
    ------
    TimeoutError
        If a run does not come to rest.
    """
    rng = np.random.default_rng(0)
    home = tuple(viewer.scene.camera.center)
    for number in range(count):
        shift = rng.uniform(-60, 60, 2)
        viewer.scene.camera.center = (home[0], home[1] + shift[0], home[2] + shift[1])
        dock.enhance_view()
        cancel_s, tile_s = _cancelled(dock, number % 3, pump) if number % 4 else (0.0, 0.0)
        wait_for(pump, lambda: not dock.controller.busy)
        kind = dock.controller.outcome.kind  # before its layer goes, and it is forgotten
        if number % 10 == 9:
            for layer in [one for one in viewer.layers if "COMPUTED" in one.name]:
                viewer.layers.remove(layer)
        if number % 20 == 19:
            dock.release_button.click()
        pump(0.05)
        gc.collect()
        yield Cycle(number, kind, resident_mib(), threads(), cancel_s, tile_s)


def _cancelled(dock: Any, tiles: int, pump: Callable[[float], None]) -> tuple[float, float]:
    """Cancel the run after some tiles; seconds until rest, and seconds that a tile took."""
    run = dock.controller.run
    wait_for(pump, lambda: run.done >= tiles or run.outcome is not None)
    pace = run.pace
    tile_s = 1 / pace[0] if pace else 0.0
    began = time.perf_counter()
    dock.cancel_button.click()
    wait_for(pump, lambda: not dock.controller.busy)
    return time.perf_counter() - began, tile_s


def wait_for(pump: Callable[[float], None], done: Callable[[], bool]) -> None:
    """Let the window go on until something is so."""
    end = time.perf_counter() + _TIMEOUT_S
    while not done():
        if time.perf_counter() > end:
            raise TimeoutError(f"not at rest within {_TIMEOUT_S:.0f} s")
        pump(0.005)


def resident_mib() -> float:
    """Memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def threads() -> int:
    """Threads of this process, those of libraries too."""
    return len(list(Path("/proc/self/task").iterdir()))


def growth(done: list[Cycle]) -> tuple[float, int]:
    """Memory (a share) and threads that came on from the second fifth of the cycles to the last."""
    fifth = max(1, len(done) // 5)
    early, late = done[fifth : 2 * fifth] or done[:1], done[-fifth:]
    memory = [float(np.median([one.resident_mib for one in part])) for part in (early, late)]
    count = [int(np.median([one.threads for one in part])) for part in (early, late)]
    return memory[1] / memory[0] - 1, count[1] - count[0]


def main() -> int:
    """Run the cycles in a window and report growth."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--model", default="cwtnet-lite-x2")
    parser.add_argument("--output", type=Path, default=Path("soak.csv"))
    given = parser.parse_args()
    import napari
    from qtpy.QtCore import QEventLoop, QTimer

    def pump(seconds: float) -> None:
        loop = QEventLoop()
        QTimer.singleShot(max(1, round(seconds * 1000)), loop.quit)
        loop.exec()

    with tempfile.TemporaryDirectory() as folder:
        slide = given.slide or _slide(Path(folder) / "soak.tif")
        viewer = napari.Viewer()
        viewer.open(slide, plugin="napari-cwtnet")
        _, dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Enhance")
        dock.form.model.setCurrentText(given.model)
        viewer.reset_view()
        viewer.scene.camera.zoom *= 4
        pump(3)
        done = []
        with given.output.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, Cycle.__slots__)
            writer.writeheader()
            for cycle in cycles(viewer, dock, given.cycles, pump):
                done.append(cycle)
                writer.writerow(asdict(cycle))
                file.flush()
        viewer.close()
        pump(0.5)
    return _report(done)


def _report(done: list[Cycle]) -> int:
    memory, more = growth(done)
    cancels = [one for one in done if one.cancel_s]
    beyond = [one.number for one in cancels if one.tile_s and one.cancel_s > 2 * one.tile_s + 0.3]
    left = [one.name for one in threading.enumerate() if one.name.startswith("napari-cwtnet")]
    last = done[-1]
    print(f"{len(done)} cycles; {last.resident_mib:.0f} MiB, {memory:+.2%} since the warm-up")
    print(f"{last.threads} threads, {more:+d} since the warm-up; left behind: {left or 'none'}")
    if cancels:
        waits = np.array([one.cancel_s for one in cancels])
        print(
            f"{len(cancels)} cancels: median {np.median(waits):.2f} s, longest {waits.max():.2f} s"
        )
        print(f"longer than two tiles and 0.3 s: {beyond or 'none'}")
    return int(memory > LIMIT or more > 0 or bool(left))


def _slide(path: Path) -> Path:
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(60, 240, (96, 128, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    tifffile.imwrite(
        path, pixels, photometric="rgb", tile=(256, 256), resolution=(20_000, 20_000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


if __name__ == "__main__":
    sys.exit(main())
