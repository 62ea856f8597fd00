"""Benchmarks on a real slide: a view through a model, reading, and peak memory by output size."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openslide
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from napari_cwtnet.enhancement import (
    Canvas,
    Engine,
    EnhanceRequest,
    Plan,
    TileResult,
    dtype_name,
    make_plan,
)
from napari_cwtnet.enhancement.devices import compute_with, share_cores
from napari_cwtnet.enhancement.engine import prefetch
from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.bench.timing import TimedTask
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import CwtNet, Model, Network, preset
from napari_cwtnet.slides import Slide, open_slide

_PROBE = 32
_CACHE = 2**30


@dataclass(frozen=True, slots=True)
class Viewport:
    """The tasks to time for one model, and the least work that they need."""

    flops: float
    """Of all convolutions over the LR pixels of the view, halos excluded."""
    tiles: int
    mode: str
    dtype: str
    """Precision of the features."""
    tasks: dict[str, TimedTask]


def viewport(
    slide: Slide, model: Model, side: int, downsample: float, device: str, *, dtype: str = "auto"
) -> Viewport:
    """Tasks over a view of ``side × side`` LR pixels in the middle of the slide.

    ``end to end`` runs from the request to the blended picture, ``network only`` from pixels in
    memory to the network's output, ``first tile`` to the first finished tile. With the view
    cached, ``pan by a quarter`` enhances a view shifted right by a quarter on the same grid, and
    ``cached`` the same view again. Background runs through the network, too.
    """
    length = side * downsample
    bounds = slide.bounds
    region = Region(
        bounds.x + (bounds.width - length) / 2, bounds.y + (bounds.height - length) / 2,
        length, length,
    )  # fmt: skip
    request = EnhanceRequest(region, downsample)
    plan = make_plan(slide, model, request)
    fresh, keeping = (
        Engine(model, device, kept, dtype=dtype, skip_background=False) for kept in (0, _CACHE)
    )
    finished = [done.sr for done in fresh.run(slide, plan)]
    pixels = [fresh.read(slide, plan, tile) for tile in plan.tiles]
    aside = EnhanceRequest(
        Region(region.x + length / 4, region.y, length, length), downsample, grid=plan.lattice.grid
    )
    begun: list[Generator[TileResult, None, None]] = []

    def only_network() -> None:
        workers, inner = share_cores(len(pixels)) if device == "cpu" else (1, 1)
        for _ in prefetch(
            lambda given: fresh.infer(*given).sr.flatten()[0].item(),
            pixels,
            workers=workers,
            depth=workers + 1,
            name="napari-cwtnet bench",
            prepare=lambda: compute_with(inner),
        ):
            pass

    def first_tile() -> object:
        begun.append(fresh.run(slide, make_plan(slide, model, request), first_soon=True))
        return next(begun[0])

    def no_more_tiles() -> None:
        begun.pop().close()

    def only_the_view_is_kept() -> None:
        keeping.clear_cache()
        for tile, sr in zip(plan.tiles, finished, strict=True):
            keeping.put(slide, plan, tile, sr)

    return Viewport(
        flops=flops_per_pixel(model.network, with_reference=plan.with_reference) * side * side,
        tiles=len(plan.tiles),
        mode=plan.mode,
        dtype=dtype_name(fresh.dtype),
        tasks={
            "end to end": TimedTask(lambda: enhanced(fresh, slide, request)),
            "network only": TimedTask(only_network),
            "first tile": TimedTask(first_tile, after=no_more_tiles),
            "pan by a quarter": TimedTask(
                lambda: enhanced(keeping, slide, aside), only_the_view_is_kept
            ),
            "cached": TimedTask(lambda: enhanced(keeping, slide, request), only_the_view_is_kept),
        },
    )


def enhanced(engine: Engine, slide: Slide, request: EnhanceRequest) -> Plan:
    """From the request to the blended picture, as the window asks for it."""
    plan = make_plan(slide, engine.model, request)
    canvas = Canvas(plan)
    for finished in engine.run(slide, plan, first_soon=True):
        canvas.add(finished.tile, finished.sr)
    canvas.image  # noqa: B018  the picture is made when asked for
    return plan


@torch.inference_mode()
def flops_per_pixel(network: Network, *, with_reference: bool) -> float:
    """Floating point operations of all convolutions for each LR pixel."""
    lr = torch.zeros(1, 3, _PROBE, _PROBE)
    reference = torch.zeros(1, 3, 2 * _PROBE, 2 * _PROBE) if with_reference else None
    with FlopCounterMode(display=False) as counter:
        network(lr, reference)
    counts = counter.get_flop_counts()["Global"]
    return float(counts[torch.ops.aten.convolution]) / _PROBE**2


def untrained(name: str, scale: int) -> Model:
    """An untrained model of a preset: time does not depend on weights."""
    config = preset(name, scale)
    network = CwtNet(config).eval()
    return Model(f"{name}-x{scale}", Path(name), config, {}, f"untrained {name}", network)


SIDE = 1024
_PLACES = 64


def reading(path: Path, side: int = SIDE) -> dict[str, TimedTask]:
    """Two tasks that read the same places in the same order, RGB on white.

    The file is reopened before each reading, so that neither has cached a tile.

    Raises
    ------
    RequestError
        If OpenSlide cannot read the file, which leaves nothing to compare with.
    """
    try:
        with openslide.OpenSlide(path) as plain:
            width, height = plain.dimensions
    except openslide.OpenSlideError as error:
        raise RequestError(
            f"Slide {path} cannot be read by openslide-python ({error}), so there is nothing to "
            "compare reading with; leave reading out."
        ) from error
    generator = np.random.default_rng(0)
    places = [
        (
            int(generator.integers(max(1, width - side))),
            int(generator.integers(max(1, height - side))),
        )
        for _ in range(_PLACES)
    ]
    for_plain, for_slide = itertools.cycle(places), itertools.cycle(places)
    handles: dict[str, openslide.OpenSlide] = {}
    slides: dict[str, Slide] = {}

    def open_plain() -> None:
        if "now" in handles:
            handles["now"].close()
        handles["now"] = openslide.OpenSlide(path)

    def open_ours() -> None:
        if "now" in slides:
            slides["now"].close()
        slides["now"] = open_slide(path)

    def read_plain() -> object:
        image = handles["now"].read_region(next(for_plain), 0, (side, side))
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return np.asarray(white)

    def read_ours() -> object:
        return slides["now"].read(Region(*next(for_slide), side, side), 1)

    return {
        "openslide-python": TimedTask(read_plain, open_plain),
        "Slide.read": TimedTask(read_ours, open_ours),
    }


MEGAPIXELS = (1, 4, 16)
_PROGRAM = """
import contextlib, json, sys
from pathlib import Path
import psutil
from napari_cwtnet import enhance, load_model, open_slide
path, name, side, device = sys.argv[1:]

def forget_peak():
    # The peak so far may be inherited from the process that this one was forked from.
    with contextlib.suppress(OSError):  # some containers forbid it
        Path("/proc/self/clear_refs").write_text("5")

def peak():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])

with open_slide(path) as slide:
    model = load_model(name)
    settings = dict(model=model, reference="none", device=device, skip_background=False)
    enhance(slide, (0, 0, 32, 32), 1, **settings)
    before = psutil.Process().memory_info().rss
    forget_peak()
    length = int(side) / model.scale
    enhance(slide, (0, 0, length, length), 1, **settings)
print(json.dumps([before, peak()]))
"""


def memory(
    path: Path,
    model: str,
    device: str,
    megapixels: tuple[int, ...] = MEGAPIXELS,
    progress: Callable[[int], None] | None = None,
) -> dict[int, dict[str, float]]:
    """MiB of host memory at the most, by megapixels of output.

    ``started`` is the memory of a process after one small tile, ``peak`` its peak while it
    enhances the corner of the slide at native. ``progress`` is called with each size before its
    run.

    Raises
    ------
    RequestError
        If a run fails, or the system does not report a process's peak (all except Linux).
    """
    if sys.platform != "linux":
        raise RequestError("Only Linux reports a process's peak memory; leave memory out.")
    found = {}
    for size in megapixels:
        if progress is not None:
            progress(size)
        side = round((size * 2**20) ** 0.5)
        run = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(path), model, str(side), device],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise RequestError(
                f"Memory run of {size} megapixels failed: {run.stderr.strip()[-300:]}"
            )
        before, most = (value / 2**20 for value in json.loads(run.stdout))
        found[size] = {"started_mib": round(before, 1), "peak_mib": round(most, 1)}
    return found
