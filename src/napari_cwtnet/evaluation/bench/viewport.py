"""A view of a slide through a model: end to end, network only, first tile, pan, cache."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import torch
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
from napari_cwtnet.evaluation.bench.timing import Task
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import CwtNet, Model, Network, preset
from napari_cwtnet.slides import Slide

_PROBE = 32
_CACHE = 2**30


@dataclass(frozen=True, slots=True)
class Viewport:
    """What is timed for one model, and what it would cost at the least."""

    flops: float
    """Of all convolutions over the LR pixels of the view, without any halo."""
    tiles: int
    mode: str
    dtype: str
    """Precision that it is computed in."""
    tasks: dict[str, Task]


def viewport(
    slide: Slide, model: Model, side: int, downsample: float, device: str, *, dtype: str = "auto"
) -> Viewport:
    """Tasks over a view of ``side × side`` LR pixels in the middle of the slide.

    ``end to end`` goes from the request to the blended picture, ``network only`` from pixels in
    memory to what the network gives, ``first tile`` to the first finished tile. When the view is
    in memory, ``pan by a quarter`` enhances one a quarter further to the right on the same grid,
    ``cached`` the view itself again. Background is computed like all else.
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
        begun.append(fresh.run(slide, make_plan(slide, model, request)))
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
            "end to end": Task(lambda: enhanced(fresh, slide, request)),
            "network only": Task(only_network),
            "first tile": Task(first_tile, after=no_more_tiles),
            "pan by a quarter": Task(
                lambda: enhanced(keeping, slide, aside), only_the_view_is_kept
            ),
            "cached": Task(lambda: enhanced(keeping, slide, request), only_the_view_is_kept),
        },
    )


def enhanced(engine: Engine, slide: Slide, request: EnhanceRequest) -> Plan:
    """From the request to the blended picture."""
    plan = make_plan(slide, engine.model, request)
    canvas = Canvas(plan)
    for finished in engine.run(slide, plan):
        canvas.add(finished.tile, finished.sr)
    canvas.image.flatten()[0].item()
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
    """A model of a preset that nobody trained: time does not depend on weights."""
    config = preset(name, scale)
    network = CwtNet(config).eval()
    return Model(f"{name}-x{scale}", Path(name), config, {}, f"untrained {name}", network)
