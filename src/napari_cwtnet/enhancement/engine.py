"""The engine: runs a plan's tiles through the network, prefetching input and caching output."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray
from torch import Tensor

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement.background import is_background
from napari_cwtnet.enhancement.devices import compute_with, share_cores
from napari_cwtnet.enhancement.forward import to_pixels, to_tensor
from napari_cwtnet.enhancement.input_origin import read_input
from napari_cwtnet.enhancement.memory import SplitOnOutOfMemory, TileOutput, free_bytes
from napari_cwtnet.enhancement.openvino_forward import make_forward
from napari_cwtnet.enhancement.plan import Plan, with_sharpness
from napari_cwtnet.enhancement.tiling import Tile, crop_halo
from napari_cwtnet.model import Model, NetworkOutput
from napari_cwtnet.model.blocks import bicubic
from napari_cwtnet.model.conditioning import degradation_tensor, without_jpeg2000
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.backend import Pixels
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation

T = TypeVar("T")
R = TypeVar("R")


def prefetch(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int,
    depth: int,
    name: str,
    prepare: Callable[[], object] = lambda: None,
    hurry: bool = False,
) -> Generator[R, None, None]:
    """Results of ``function`` in the order of the items, computed in threads.

    An error, in the function or in the items, is raised in its item's turn. Closing the generator
    drops what has not begun and waits for what has.

    Parameters
    ----------
    function : callable
        Called in a thread with an item.
    items : iterable
        Consumed in the caller's thread, at most ``depth`` items ahead of the results.
    workers, depth : int
        Number of threads, and of items in flight.
    name : str
        Prefix of the threads' names.
    prepare : callable
        Called first in each thread.
    hurry : bool
        Whether to yield a result as soon as it is ready, before taking more items.
    """
    waiting: deque[Future[R]] = deque()
    taking, failed = iter(items), None
    with ThreadPoolExecutor(workers, name, prepare) as pool:
        try:
            while True:
                try:
                    item = next(taking)
                except StopIteration:
                    break
                except Exception as error:  # noqa: BLE001  raised below, after earlier results
                    failed = error
                    break
                waiting.append(pool.submit(function, item))
                while len(waiting) >= depth or (hurry and waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
            if failed is not None:
                raise failed
        finally:
            for future in waiting:
                future.cancel()
            failed = None  # its traceback holds this very frame


class TileCache:
    """Finished tiles within a byte budget, the least recently used dropped first; thread-safe.

    Parameters
    ----------
    budget : int
        Bytes; 0 keeps nothing.
    """

    def __init__(self, budget: int) -> None:
        self._lock = threading.Lock()
        self._tiles: LRUCache[Hashable, TileOutput] = LRUCache(budget, lambda tile: tile.nbytes)

    def get(self, key: Hashable) -> TileOutput | None:
        """The tile of that key, if cached."""
        with self._lock:
            return self._tiles.get(key)

    def put(self, key: Hashable, tile: TileOutput) -> None:
        """Cache a tile, unless it exceeds the whole budget."""
        with self._lock:
            if tile.nbytes <= self._tiles.maxsize:
                self._tiles[key] = tile

    def clear(self) -> None:
        """Drop every tile."""
        with self._lock:
            self._tiles.clear()


def group_sizes(tiles: int, workers: int, *, first_soon: bool) -> list[int]:
    """Sizes of the groups in which to compute tiles side by side, one group after the other.

    A tile that is alone has all cores. The first is, if it is to come soon and the others take two
    rounds or more. At the end, tiles that would leave half of the cores idle form a group.

    >>> group_sizes(16, 2, first_soon=True), group_sizes(4, 2, first_soon=False)
    ([1, 14, 1], [4])
    >>> group_sizes(16, 4, first_soon=True), group_sizes(18, 4, first_soon=False)
    ([1, 15], [16, 2])
    >>> group_sizes(16, 8, first_soon=True), group_sizes(5, 1, first_soon=True)
    ([16], [5])
    """
    if workers == 1:
        return [tiles]
    first = int(first_soon and tiles > 2 * workers)
    rest = (tiles - first) % workers
    rest = rest if 2 * rest <= workers else 0
    return [size for size in (first, tiles - first - rest, rest) if size]


CACHE_BYTES = 512 * 2**20
_PREFETCHED_READS = 3
_MEMORY_SHARE = 0.5
"""Of the free memory, for all tiles computed side by side."""

Known = tuple[Degradation, Degradation]
"""Of LR and of the reference."""
_Read = tuple[Tile, Pixels, Pixels | None]


@dataclass(frozen=True, slots=True)
class TileResult:
    """A finished tile, ready for :meth:`Canvas.add`."""

    tile: Tile
    output: TileOutput
    cached: bool = False

    @property
    def sr(self) -> Pixels:
        """SR pixels ``(h, w, 3)`` uint8, without the halo."""
        return self.output.sr

    @property
    def error(self) -> NDArray[np.float32] | None:
        """Predicted error ``(h, w)`` of the LR pixels read, grey levels; None if unknown."""
        return self.output.error


class Engine:
    """Runs plans of one model on one device; caches finished tiles within a byte budget.

    Parameters
    ----------
    model : Model
        The network to run.
    device : str
        A name of :func:`~napari_cwtnet.enhancement.inference_devices`, or ``auto``.
    cache_bytes : int
        Budget of the tile cache; 0 keeps nothing.
    dtype : str
        See :func:`choose_dtype`.
    skip_background : bool
        Whether to enlarge empty tiles bicubically, without the network.
    cache : TileCache, optional
        One that several engines share, instead of one of ``cache_bytes``.

    Attributes
    ----------
    device : torch.device
        Where images go in and come out.
    device_name : str
        What computes: a torch device, or OpenVINO's, such as ``openvino:GPU``.
    runtime : str
        The library that computes, with its version.
    dtype : torch.dtype
        The precision of the features; images are float32 in any case.
    """

    def __init__(
        self,
        model: Model,
        device: str = "auto",
        cache_bytes: int = CACHE_BYTES,
        *,
        dtype: str = "auto",
        skip_background: bool = True,
        cache: TileCache | None = None,
    ) -> None:
        self.model = model
        self.skip_background = skip_background
        self._forward = make_forward(model, device, dtype)
        self.device, self.device_name = self._forward.device, self._forward.device_name
        self.runtime = self._forward.runtime
        self.dtype = self._forward.dtype
        self._split = SplitOnOutOfMemory(self._forward)
        self._cache = TileCache(cache_bytes) if cache is None else cache

    def run(
        self,
        slide: Slide,
        plan: Plan,
        cancel: CancelToken | None = None,
        *,
        first_soon: bool = False,
    ) -> Generator[TileResult, None, None]:
        """Yield the tiles of a plan: cached ones, then computed ones, either from the centre on.

        Reads the next tiles while computing; a CPU computes several side by side. Closing the
        generator waits for tiles in progress.

        Parameters
        ----------
        slide, plan
            As :func:`make_plan` took and gave them.
        cancel : CancelToken, optional
            Ends the run between two tiles.
        first_soon : bool
            Whether to compute the first tile alone if none is cached, for somebody who is looking.
            All tiles together take longer then: on two cores and with sixteen tiles, a twentieth.

        Raises
        ------
        CancelledError
            Between two tiles, after ``cancel`` was called.
        ModelError
            If the network gives values that are not finite.
        RequestError
            If not even small parts of a tile fit in memory.
        SlideError
            If the slide can no longer be read.
        """
        cancel = cancel or CancelToken()
        missing = []
        for tile in plan.tiles:
            cancel.raise_if_cancelled()
            cached = self._cache.get(self._key(slide, plan, tile))
            if cached is None:
                missing.append(tile)
            else:
                yield TileResult(tile, cached, cached=True)
        if missing:
            first_soon = first_soon and len(missing) == len(plan.tiles)
            yield from self._compute(slide, plan, missing, cancel, first_soon=first_soon)

    def _compute(
        self,
        slide: Slide,
        plan: Plan,
        tiles: list[Tile],
        cancel: CancelToken,
        *,
        first_soon: bool,
    ) -> Generator[TileResult, None, None]:
        at_once, _ = self._shares(plan, len(tiles))
        sizes = [len(tiles)]
        if self.device_name == "cpu":  # OpenVINO computes each tile on one thread in any case
            sizes = group_sizes(len(tiles), at_once, first_soon=first_soon)
        known = self.known(slide, plan)

        def read(tile: Tile) -> _Read:
            cancel.raise_if_cancelled()
            return tile, *self.read(slide, plan, tile)

        def compute(given: _Read) -> TileResult:
            cancel.raise_if_cancelled()
            tile, lr, reference = given
            done = self._compute_tile(plan, tile, lr, reference, known)
            self._cache.put(self._key(slide, plan, tile), done)
            return TileResult(tile, done)

        reading = prefetch(
            read, tiles, workers=1, depth=max(_PREFETCHED_READS, at_once), name="napari-cwtnet read"
        )
        with contextlib.closing(reading):
            for count in sizes:
                workers, inner = self._shares(plan, count)
                computing = prefetch(
                    compute, islice(reading, count), workers=workers, depth=workers + 1,
                    name="napari-cwtnet compute", prepare=partial(compute_with, inner), hurry=True,
                )  # fmt: skip
                with contextlib.closing(computing):
                    for result in computing:
                        cancel.raise_if_cancelled()
                        yield result

    def _shares(self, plan: Plan, tiles: int) -> tuple[int, int]:
        if self.device.type != "cpu":
            return 1, torch.get_num_threads()
        columns, rows = plan.lattice.tile_size
        memory = _MEMORY_SHARE * free_bytes(self.device)
        fitting = max(1, int(memory // self._split.expected_bytes(rows, columns)))
        return share_cores(min(tiles, fitting))

    def _compute_tile(
        self, plan: Plan, tile: Tile, lr: Pixels, reference: Pixels | None, known: Known
    ) -> TileOutput:
        finest = lr if reference is None else reference
        if self.skip_background and is_background(finest):
            empty = np.zeros(lr.shape[:2], np.float32)
            predicted = empty if self.model.network.predicts_error else None
            output = TileOutput(
                self._enlarged(plan, tile, finest), background=True, error=predicted
            )
        else:
            small, fine = self._tensors(lr, reference)
            output = self._split.run(small, fine, self._degradation_tensor(known))
        return replace(output, sr=crop_halo(output.sr, tile, plan.scale))

    @torch.inference_mode()
    def _enlarged(self, plan: Plan, tile: Tile, finest: Pixels) -> Pixels:
        rows = tile.rows.read_stop - tile.rows.read_start
        factor = plan.scale * rows // finest.shape[0]
        return to_pixels(bicubic(to_tensor(finest, torch.device("cpu")), factor)[0])

    def put(self, slide: Slide, plan: Plan, tile: Tile, sr: Pixels) -> None:
        """Cache a finished tile, unless it exceeds the whole budget."""
        self._cache.put(self._key(slide, plan, tile), TileOutput(sr))

    def clear_cache(self) -> None:
        """Drop every finished tile."""
        self._cache.clear()

    def _key(self, slide: Slide, plan: Plan, tile: Tile) -> Hashable:
        # Not the fingerprint: it looks at a few tiles, and slides may differ in the others.
        source = (slide.opened, plan.downsample, plan.lattice.phase)
        how = (plan.mode, self.known(slide, plan), self.model.sha256)
        where = (self.device_name, self.dtype, self.skip_background)
        return (*source, *how, *where, plan.lattice.grid, tile)

    def read(self, slide: Slide, plan: Plan, tile: Tile) -> tuple[Pixels, Pixels | None]:
        """Input pixels of a tile: LR, and the reference or None, uint8."""
        lr = read_input(slide, plan, tile.read, plan.downsample)
        if not plan.with_reference:
            return lr, None
        return lr, read_input(slide, plan, tile.read, plan.downsample / 2)

    def known(self, slide: Slide, plan: Plan) -> Known:
        """Degradations of LR and reference, as passed to the model; unknown where it takes none.

        The first call analyses the slide's levels, which can take a second.
        """
        if not self.model.takes_degradation:
            return UNKNOWN, UNKNOWN
        downsamples = (plan.downsample, plan.downsample / 2)[: 1 + plan.with_reference]
        found = [
            with_sharpness(without_jpeg2000(slide.degradation(d)), plan.sharpness)
            for d in downsamples
        ]
        return (found[0], found[1] if plan.with_reference else UNKNOWN)

    def infer(
        self,
        lr: Pixels,
        reference: Pixels | None,
        known: Known = (UNKNOWN, UNKNOWN),
        *,
        record: bool = False,
    ) -> NetworkOutput:
        """One forward pass on the engine's device.

        Parameters
        ----------
        lr, reference : ndarray
            ``(h, w, 3)`` and ``(2h, 2w, 3)`` uint8, as :meth:`read` returns them.
        known : (Degradation, Degradation)
            Their degradations, as :meth:`known` returns them.
        record : bool
            Also return the attention of every block, as float32.

        Raises
        ------
        ModelError
            If the network gives values that are not finite.
        """
        tensors = self._tensors(lr, reference)
        output, _ = self._forward.run(*tensors, self._degradation_tensor(known), record=record)
        return output

    def _degradation_tensor(self, known: Known) -> Tensor:
        return degradation_tensor(*known)[None].to(self.device)

    def _tensors(self, lr: Pixels, reference: Pixels | None) -> tuple[Tensor, Tensor | None]:
        fine = None if reference is None else to_tensor(reference, self.device)
        return to_tensor(lr, self.device), fine


@dataclass(slots=True)
class TileCounts:
    """How tiles were computed; a cached tile counts as when it was computed."""

    background: int = 0
    """Empty, enlarged bicubically."""
    repeated: int = 0
    """Computed in float32 after half precision failed."""
    in_parts: int = 0
    """Split to fit in memory."""

    def add(self, done: TileResult) -> None:
        """Count a tile."""
        self.background += done.output.background
        self.repeated += done.output.repeated
        self.in_parts += done.output.parts > 1

    def as_dict(self) -> dict[str, int]:
        """The counts above 0, for the provenance."""
        counts = {
            "background_tiles": self.background,
            "float32_tiles": self.repeated,
            "tiles_in_parts": self.in_parts,
        }
        return {name: count for name, count in counts.items() if count}

    @property
    def words(self) -> str:
        """Text to follow the number of tiles; empty where all were computed plainly."""
        parts = (
            f", {self.background} of them background" if self.background else "",
            f", {self.repeated} in float32 (half precision failed)" if self.repeated else "",
            f", {self.in_parts} in parts (memory is short)" if self.in_parts else "",
        )
        return "".join(parts)
