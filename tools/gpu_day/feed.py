"""Batches made ahead: drawn and compressed by processes, all else on the device.

Batch ``n`` depends on the seed, the patch and ``n`` alone, so that a run that is taken up gets the
batches that it would have got.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_day.cutting import images_on, shrunk, stored, windows
from napari_cwtnet.model.conditioning import degradation_tensor
from napari_cwtnet.slides.degrade import compress, degrade
from napari_cwtnet.training.degrade import MARGIN, DegradationMix, Drawn, PatchMaker
from napari_cwtnet.training.fields import Batch, Field, PatchSampler

AHEAD = 16
"""Batches that are in the making."""
_CHUNK = 8
"""Patches that a process compresses at a time."""

Pixels = NDArray[np.uint8]
Made = TypeVar("Made")
Fields = tuple[list[tuple[int, int]], NDArray[np.float64]]
"""Height and width of each, and the chance that it is drawn."""


@dataclass(frozen=True, slots=True)
class Order:
    """What makes up one batch."""

    images: tuple[int, ...]
    drawn: tuple[Drawn, ...]
    degradation: NDArray[np.float32]
    """``(N, 2, LENGTH)``; no tensor, which processes would share by a file."""


@dataclass(slots=True)
class _InTheMaking:
    number: int
    order: Future[Order]
    degradation: Tensor | None = None
    truth: Tensor | None = None
    pairs: list[Future[list[tuple[Pixels, Pixels]]]] = field(default_factory=list)


def make_pool(processes: int) -> Executor:
    """Processes for feeds, or a thread where there are none; a feed closes no pool.

    They are spawned: a fork of a process that uses CUDA cannot use it.
    """
    if processes == 0:
        return ThreadPoolExecutor(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))


class Feed(PatchSampler):
    """A sampler of the patches that :class:`PatchSampler` would draw, made ahead on a device.

    Parameters
    ----------
    sources : sequence of (weight, fields)
        Whose truths are kept on the device.
    scale, patch : int
        Super-resolution factor, and side of the LR patch in pixels.
    mix : DegradationMix
        How LR and reference are made.
    device : torch.device
        Where they are made, except for the codec.
    pool : Executor
        Draws and compresses.
    seed : int
        Of all batches.
    number : callable
        Gives the number of the batch that is wanted.
    """

    def __init__(
        self,
        sources: Sequence[tuple[float, Sequence[Field]]],
        *,
        scale: int,
        patch: int,
        mix: DegradationMix,
        device: torch.device,
        pool: Executor,
        seed: int,
        number: Callable[[], int],
    ) -> None:
        super().__init__(sources, scale, patch, mix)
        truths = [each.truth for each in self._fields]
        self._images = images_on(device, truths)
        self._drawn_of = ([(t.shape[0], t.shape[1]) for t in truths], self._chances)
        self._device, self._pool = device, pool
        self._seed, self._number = seed, number
        self._draws = PatchMaker(mix, scale, patch)
        self._queue: deque[_InTheMaking] = deque()
        self.patches = 0
        """That were given so far."""
        self.waited = 0.0
        """Seconds that the caller waited for processes."""

    def batch(self, count: int, generator: np.random.Generator) -> Batch:  # noqa: ARG002
        """The batch of the number that is wanted; ``generator`` is left as it is."""
        return self._numbered(self._number(), count)

    def rate(self, count: int, seconds: float) -> float:
        """Patches a second, in batches of ``count``, without training."""
        first, given = 2**40, 0  # numbers that no run comes to
        self._numbered(first, count)  # for this one, processes may still be starting
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            given += 1
            self._numbered(first + given, count)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        rate = given * count / (time.perf_counter() - began)
        self.drop()
        self.patches, self.waited = 0, 0.0
        return rate

    def _numbered(self, number: int, count: int) -> Batch:
        if not self._queue or self._queue[0].number != number:
            self.drop()
        for ahead in range(number + len(self._queue), number + AHEAD):
            self._queue.append(_InTheMaking(ahead, self._ordered(ahead, count)))
        for each in self._queue:
            if each.truth is None and (each.number == number or each.order.done()):
                self._cut(each)
        made = self._queue.popleft()
        pairs = [pair for pending in made.pairs for pair in self._awaited(pending)]
        lr, reference = (self._as_tensor(same) for same in zip(*pairs, strict=True))
        if made.degradation is None or made.truth is None:
            raise AssertionError("the first of the queue has been cut")
        self.patches += count
        if self._scale == 2:
            reference = made.truth
        values = [each.float().div_(255) for each in (lr, reference, made.truth)]
        return Batch(values[0], values[1], values[2], made.degradation)

    def drop(self) -> None:
        """Forget what is in the making."""
        for each in self._queue:
            each.order.cancel()
            for pending in each.pairs:
                pending.cancel()
        self._queue.clear()

    def _ordered(self, number: int, count: int) -> Future[Order]:
        seed = (self._seed, self._patch, number)
        return self._pool.submit(order_batch, self._draws, self._drawn_of, count, seed)

    def _cut(self, making: _InTheMaking) -> None:
        """Everything before the codec; its last part is left to the processes."""
        order = self._awaited(making.order)
        drawn, scale = order.drawn, self._scale
        generator = torch.Generator(self._device)
        generator.manual_seed(hash((self._seed, self._patch, making.number)) % 2**63)
        window = windows([self._images[i] for i in order.images], drawn, self._draws.side)
        lr_made, reference_made = [d.lr for d in drawn], [d.reference for d in drawn]
        lr = _to_host(stored(shrunk(window, lr_made, scale), lr_made, generator))
        reference = lr[:, :0]
        if scale > 2:
            small = shrunk(window, reference_made, scale // 2)
            reference = _to_host(stored(small, reference_made, generator))
        making.pairs = [
            self._pool.submit(
                compress_pairs,
                lr[first : first + _CHUNK],
                reference[first : first + _CHUNK],
                drawn[first : first + _CHUNK],
                (self._seed, self._patch, making.number, first),
            )
            for first in range(0, len(drawn), _CHUNK)
        ]
        cut = MARGIN * scale
        making.truth = window[:, :, cut:-cut, cut:-cut]
        making.degradation = torch.from_numpy(order.degradation).to(self._device)

    def _awaited(self, pending: Future[Made]) -> Made:
        began = time.perf_counter()
        result = pending.result()
        self.waited += time.perf_counter() - began
        return result

    def _as_tensor(self, images: Sequence[Pixels]) -> Tensor:
        return torch.from_numpy(np.stack(images)).to(self._device).permute(0, 3, 1, 2)


def order_batch(maker: PatchMaker, fields: Fields, count: int, seed: Sequence[int]) -> Order:
    """Draw everything of a batch but its noise."""
    random = np.random.default_rng(seed)
    sizes, chances = fields
    images = tuple(int(i) for i in random.choice(len(sizes), size=count, p=chances))
    drawn = tuple(maker.draw(sizes[i], random) for i in images)
    return Order(
        images, drawn, torch.stack([degradation_tensor(*each.known) for each in drawn]).numpy()
    )


def compress_pairs(
    lr: Pixels, reference: Pixels, drawn: Sequence[Drawn], seed: Sequence[int]
) -> list[tuple[Pixels, Pixels]]:
    """LR and reference ``(N, h, w, 3)`` after the codec, without their margins.

    A reference without rows is none: that of ×2 is the truth.
    """
    random = np.random.default_rng(seed)
    return [_compressed(*each, random) for each in zip(lr, reference, drawn, strict=True)]


def _compressed(
    lr: Pixels, reference: Pixels, drawn: Drawn, random: np.random.Generator
) -> tuple[Pixels, Pixels]:
    x, y = drawn.grid
    if reference.size and drawn.reference.compression is not None:
        reference = compress(reference, drawn.reference.compression, (y, x))
    if drawn.twice and reference.size:
        lr = degrade(reference, drawn.lr, 2, random=random, grid=drawn.grid)
    elif drawn.lr.compression is not None:
        lr = compress(lr, drawn.lr.compression, drawn.grid)
    return _core(lr, MARGIN), _core(reference, 2 * MARGIN)


def _core(image: Pixels, cut: int) -> Pixels:
    return np.ascontiguousarray(image[cut:-cut, cut:-cut])


def _to_host(images: Tensor) -> Pixels:
    found: Pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return found
