"""Time of a tile by torch and by OpenVINO, taken in turns, as ratios to torch in float32.

``python tools/runtimes.py [--side 146] [--repeats 15] [MODEL ...]``. One tile is timed by the
processor's clock, which other programs hardly disturb, two tiles side by side by the wall's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np
import torch

from napari_cwtnet.enhancement import Engine, choose_dtype, dtype_name, own_dtype
from napari_cwtnet.enhancement.devices import compute_with
from napari_cwtnet.enhancement.openvino_forward import choose_openvino_dtype
from napari_cwtnet.model import load_model


def engines(name: str) -> dict[str, Engine]:
    """The runtimes in float32, and in the precision that each has units for."""
    cpu = torch.device("cpu")
    own = {"cpu": own_dtype(cpu), "openvino:CPU": choose_openvino_dtype("auto", "openvino:CPU")}
    found = {}
    for device, fastest in own.items():
        for dtype in dict.fromkeys((choose_dtype("float32", cpu), fastest)):
            engine = Engine(load_model(name), device, 0, dtype=dtype_name(dtype))
            found[f"{engine.runtime} {dtype_name(dtype)}"] = engine
    return found


def timed(engine: Engine, pool: ThreadPoolExecutor, tiles: int, side: int) -> Callable[[], float]:
    """Takes so many tiles side by side; seconds of the processor for one, else of the clock."""
    lr = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    double = lr.repeat(2, 0).repeat(2, 1) if engine.model.takes_reference else None

    clock = time.process_time if tiles == 1 else time.perf_counter

    def run() -> float:
        began = clock()
        list(pool.map(lambda _: engine.infer(lr, double), range(tiles)))
        return clock() - began

    return run


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["cwtnet-lite-x2", "cwtnet-lite-x4"])
    parser.add_argument("--side", type=int, default=146, help="of the tile, LR pixels")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(2)  # what OpenVINO may compute side by side
    print("| model | runtime | one tile | two side by side |\n|---|---|---|---|")
    with ThreadPoolExecutor(2, initializer=lambda: compute_with(1)) as pool:
        for name in arguments.models:
            tasks = {
                (what, tiles): timed(engine, pool, tiles, arguments.side)
                for what, engine in engines(name).items()
                for tiles in (1, 2)
            }
            seconds: dict[tuple[str, int], list[float]] = {key: [] for key in tasks}
            for turn in range(arguments.repeats + 1):
                for key, task in tasks.items():
                    spent = task()
                    if turn:  # the first one prepares
                        seconds[key].append(spent)
            first = next(iter(tasks))[0]
            for what in dict.fromkeys(what for what, _ in tasks):
                one, two = (median(seconds[what, n]) / median(seconds[first, n]) for n in (1, 2))
                print(f"| {name} | {what} | {one:.2f} | {two:.2f} |", flush=True)


if __name__ == "__main__":
    main()
