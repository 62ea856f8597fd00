"""The network at work on tiles, with a memory of those it did."""

from __future__ import annotations

import copy
import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray
from torch import Tensor

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement.devices import choose_device
from napari_cwtnet.enhancement.plan import Plan
from napari_cwtnet.enhancement.tiling import Tile
from napari_cwtnet.errors import ModelError
from napari_cwtnet.model import Model, Network, NetworkOutput
from napari_cwtnet.slides import Slide

Pixels = NDArray[np.uint8]
CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class TileResult:
    """A tile and its SR pixels ``(h, w, 3)`` uint8, ready for :meth:`Canvas.add`."""

    tile: Tile
    sr: Pixels
    cached: bool


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
    """

    def __init__(self, model: Model, device: str = "auto", cache_bytes: int = CACHE_BYTES) -> None:
        self.model = model
        self.device = choose_device(device)
        self._paired = self._placed(model)
        self._alone = self._paired if model.alone is None else self._placed(model.alone)
        self._done: LRUCache[Hashable, Pixels] = LRUCache(
            cache_bytes, getsizeof=lambda tile: tile.nbytes
        )
        self._lock = threading.Lock()

    def _placed(self, model: Model) -> Network:
        # A copy: moving a module changes it for everybody who holds it.
        network = copy.deepcopy(model.network)
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def run(
        self, slide: Slide, plan: Plan, cancel: CancelToken | None = None
    ) -> Iterator[TileResult]:
        """Compute the tiles of a plan, centre first; finished ones are not computed again.

        Raises
        ------
        CancelledError
            Between two tiles, after ``cancel`` was called.
        ModelError
            If the network gives values that are not finite.
        """
        for tile in plan.tiles:
            if cancel is not None:
                cancel.raise_if_cancelled()
            key = self._key(slide, plan, tile)
            with self._lock:
                sr = self._done.get(key)
            if sr is not None:
                yield TileResult(tile, sr, cached=True)
                continue
            output = self.infer(*self.read(slide, plan, tile))
            sr = self.counted(plan, tile, output.sr[0])
            self.keep(slide, plan, tile, sr)
            yield TileResult(tile, sr, cached=False)

    def keep(self, slide: Slide, plan: Plan, tile: Tile, sr: Pixels) -> None:
        """Remember a finished tile, if the budget bears it."""
        with self._lock:
            if sr.nbytes <= self._done.maxsize:
                self._done[self._key(slide, plan, tile)] = sr

    def forget(self) -> None:
        """Drop every finished tile."""
        with self._lock:
            self._done.clear()

    def _key(self, slide: Slide, plan: Plan, tile: Tile) -> Hashable:
        source = (slide.fingerprint, slide.icc, plan.downsample, plan.lattice.phase)
        weights = self.model.serving(with_reference=plan.with_reference).sha256
        return (*source, plan.mode, weights, tile)

    def read(self, slide: Slide, plan: Plan, tile: Tile) -> tuple[Pixels, Pixels | None]:
        """What the network is given for a tile: LR, and the reference or None, uint8."""
        lr = slide.read(tile.read, plan.downsample, replicate=True)
        if not plan.with_reference:
            return lr, None
        return lr, slide.read(tile.read, plan.downsample / 2, replicate=True)

    @torch.inference_mode()
    def infer(self, lr: Pixels, reference: Pixels | None, *, record: bool = False) -> NetworkOutput:
        """One forward pass on the engine's device.

        Parameters
        ----------
        lr, reference : ndarray
            ``(h, w, 3)`` and ``(2h, 2w, 3)`` uint8, as :meth:`read` gives them.
        record : bool
            Also give the attention of every block.

        Raises
        ------
        ModelError
            If the network gives values that are not finite.
        """
        network = self._alone if reference is None else self._paired
        output: NetworkOutput = network(
            self._to_tensor(lr),
            None if reference is None else self._to_tensor(reference),
            record=record,
        )
        if not bool(torch.isfinite(output.sr).all()):
            raise ModelError(
                f"Model {self.model.name!r} gave values that are not finite; the weights are "
                "damaged or the device is at fault."
            )
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

    def _to_tensor(self, image: Pixels) -> Tensor:
        tensor = torch.from_numpy(image.copy()).to(self.device).permute(2, 0, 1)[None]
        return tensor.contiguous(memory_format=torch.channels_last).float().div_(255)
