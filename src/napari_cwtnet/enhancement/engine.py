"""The network at work on tiles, with a memory of those it did."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Hashable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement.ahead import ahead
from napari_cwtnet.enhancement.background import is_background
from napari_cwtnet.enhancement.devices import choose_device
from napari_cwtnet.enhancement.forward import Forward, Passed
from napari_cwtnet.enhancement.numerics import choose_dtype
from napari_cwtnet.enhancement.plan import Plan
from napari_cwtnet.enhancement.request import with_sharpness
from napari_cwtnet.enhancement.room import free_bytes
from napari_cwtnet.enhancement.threads import compute_with, share_cores
from napari_cwtnet.enhancement.tile_memory import Computed, TileMemory
from napari_cwtnet.enhancement.tiling import Tile
from napari_cwtnet.model import Model, NetworkOutput
from napari_cwtnet.model.conditioning import tellable, told
from napari_cwtnet.model.resample import bicubic
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation

Pixels = NDArray[np.uint8]
CACHE_BYTES = 512 * 2**20
_READ_AHEAD = 3
_MEMORY_SHARE = 0.5
"""Of the free memory, for all tiles that are computed at the same time."""

Known = tuple[Degradation, Degradation]
"""Of LR and of the reference."""
_Read = tuple[Tile, Pixels, Pixels | None]


@dataclass(frozen=True, slots=True)
class TileResult:
    """A tile and its SR pixels ``(h, w, 3)`` uint8, ready for :meth:`Canvas.add`."""

    tile: Tile
    sr: Pixels
    cached: bool
    background: bool = False
    """Nothing is there, so they are bicubic."""
    repeated: bool = False
    """Half precision gave values that are not finite, so they are float32's."""
    parts: int = 1
    """In how many pieces they were computed, for want of memory."""


class Engine:
    """Runs plans of one model on one device; keeps finished tiles within a byte budget.

    Parameters
    ----------
    model : Model
        What computes.
    device : str
        As :func:`choose_device` takes it.
    cache_bytes : int
        Budget of the tile memory; 0 keeps nothing.
    dtype : str
        As :func:`choose_dtype` takes it.
    skip_background : bool
        Whether tiles that show nothing are enlarged bicubically, without the network.

    Attributes
    ----------
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
    ) -> None:
        self.model = model
        self.device = choose_device(device)
        self.skip_background = skip_background
        self._forward = Forward(model, self.device, choose_dtype(dtype, self.device))
        self.dtype = self._forward.dtype
        self._memory = TileMemory(cache_bytes)

    def run(
        self, slide: Slide, plan: Plan, cancel: CancelToken | None = None
    ) -> Generator[TileResult, None, None]:
        """Compute the tiles of a plan: those at hand, then the others, each time centre first.

        The next tiles are being read while some are computed, on a processor several side by side.
        Closing it waits for the tiles at work.

        Raises
        ------
        CancelledError
            Between two tiles, after ``cancel`` was called.
        ModelError
            If the network gives values that are not finite.
        RequestError
            If memory is short even for small parts of a tile.
        SlideError
            If the slide cannot be read any more.
        """
        cancel = cancel or CancelToken()
        missing = []
        for tile in plan.tiles:
            cancel.raise_if_cancelled()
            kept = self._memory.get(self._key(slide, plan, tile))
            if kept is None:
                missing.append(tile)
            else:
                yield _result(tile, kept, cached=True)
        if missing:
            yield from self._compute(slide, plan, missing, cancel)

    def _compute(
        self, slide: Slide, plan: Plan, tiles: list[Tile], cancel: CancelToken
    ) -> Generator[TileResult, None, None]:
        workers, inner = self._shares(plan, len(tiles))
        known = self.known(slide, plan)

        def read(tile: Tile) -> _Read:
            cancel.raise_if_cancelled()
            return tile, *self.read(slide, plan, tile)

        def compute(given: _Read) -> TileResult:
            cancel.raise_if_cancelled()
            tile, lr, reference = given
            done = self._computed(plan, tile, lr, reference, known)
            self._memory.keep(self._key(slide, plan, tile), done)
            return _result(tile, done, cached=False)

        reading = ahead(
            read, tiles, workers=1, depth=max(_READ_AHEAD, workers), name="napari-cwtnet read"
        )
        computing = ahead(
            compute, reading, workers=workers, depth=workers + 1, name="napari-cwtnet compute",
            prepare=lambda: compute_with(inner), hurry=True,
        )  # fmt: skip
        with contextlib.closing(reading), contextlib.closing(computing):
            for result in computing:
                cancel.raise_if_cancelled()
                yield result

    def _shares(self, plan: Plan, tiles: int) -> tuple[int, int]:
        if self.device.type != "cpu":
            return 1, torch.get_num_threads()
        columns, rows = plan.lattice.tile_size
        room = _MEMORY_SHARE * free_bytes(self.device)
        bearable = max(1, int(room // self._forward.expected_bytes(rows, columns)))
        return share_cores(min(tiles, bearable))

    def _computed(
        self, plan: Plan, tile: Tile, lr: Pixels, reference: Pixels | None, known: Known
    ) -> Computed:
        finest = lr if reference is None else reference
        if self.skip_background and is_background(finest):
            return Computed(self._enlarged(plan, tile, finest), background=True)
        small, fine = self._tensors(lr, reference)
        passed: Passed = self._forward.tile(small, fine, self._told(known))
        sr = self.counted(plan, tile, passed.sr)
        return Computed(sr, repeated=passed.repeated, parts=passed.parts)

    @torch.inference_mode()
    def _enlarged(self, plan: Plan, tile: Tile, finest: Pixels) -> Pixels:
        rows = tile.rows.read_stop - tile.rows.read_start
        factor = plan.scale * rows // finest.shape[0]
        return self.counted(plan, tile, bicubic(_to_tensor(finest, torch.device("cpu")), factor)[0])

    def keep(self, slide: Slide, plan: Plan, tile: Tile, sr: Pixels) -> None:
        """Remember a finished tile, if the budget bears it."""
        self._memory.keep(self._key(slide, plan, tile), Computed(sr))

    def forget(self) -> None:
        """Drop every finished tile."""
        self._memory.forget()

    def _key(self, slide: Slide, plan: Plan, tile: Tile) -> Hashable:
        source = (slide.fingerprint, slide.icc, plan.downsample, plan.lattice.phase)
        how = (plan.mode, self.known(slide, plan), self.model.sha256)
        return (*source, *how, plan.lattice.grid, tile)

    def read(self, slide: Slide, plan: Plan, tile: Tile) -> tuple[Pixels, Pixels | None]:
        """What the network is given for a tile: LR, and the reference or None, uint8."""
        source = plan.source_downsample
        lr = slide.read(tile.read, plan.downsample, replicate=True, source=source)
        if not plan.with_reference:
            return lr, None
        return lr, slide.read(tile.read, plan.downsample / 2, replicate=True, source=source)

    def known(self, slide: Slide, plan: Plan) -> Known:
        """What the model is told of LR and of the reference; nothing where it takes none.

        The first time it looks at the slide's levels, which can take a second.
        """
        if not self.model.takes_degradation:
            return UNKNOWN, UNKNOWN
        downsamples = (plan.downsample, plan.downsample / 2)[: 1 + plan.with_reference]
        found = [
            with_sharpness(tellable(slide.degradation(d)), plan.sharpness) for d in downsamples
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
            ``(h, w, 3)`` and ``(2h, 2w, 3)`` uint8, as :meth:`read` gives them.
        known : (Degradation, Degradation)
            What they went through, as :meth:`known` gives it.
        record : bool
            Also give the attention of every block, as float32.

        Raises
        ------
        ModelError
            If the network gives values that are not finite.
        """
        tensors = self._tensors(lr, reference)
        output, _ = self._forward.whole(*tensors, self._told(known), record=record)
        return output

    @staticmethod
    def counted(plan: Plan, tile: Tile, sr: Tensor) -> Pixels:
        """The SR pixels ``(h, w, 3)`` uint8 of a tile that count, without the rest of its halo.

        Parameters
        ----------
        plan, tile
            What was computed.
        sr : Tensor
            ``(3, s·h, s·w)`` of everything that was read for the tile, nominally 0..1.
        """
        s, rows, columns = plan.scale, tile.rows, tile.columns
        output = sr[
            :,
            (rows.start - rows.read_start) * s : (rows.stop - rows.read_start) * s,
            (columns.start - columns.read_start) * s : (columns.stop - columns.read_start) * s,
        ]
        image = output.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0)
        return np.ascontiguousarray(image.cpu().numpy())

    def _told(self, known: Known) -> Tensor:
        return told(*known)[None].to(self.device)

    def _tensors(self, lr: Pixels, reference: Pixels | None) -> tuple[Tensor, Tensor | None]:
        fine = None if reference is None else _to_tensor(reference, self.device)
        return _to_tensor(lr, self.device), fine


def _result(tile: Tile, done: Computed, *, cached: bool) -> TileResult:
    return TileResult(tile, done.sr, cached, done.background, done.repeated, done.parts)


def _to_tensor(image: Pixels, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(image.copy()).to(device).permute(2, 0, 1)[None]
    return tensor.contiguous(memory_format=torch.channels_last).float().div_(255)
