"""Fit tiles into memory: estimate what one needs, and retry in parts after out-of-memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cwtnet.enhancement.forward import Forward, error_of, to_pixels
from napari_cwtnet.errors import RequestError
from napari_cwtnet.model import Network
from napari_cwtnet.slides.backend import Pixels

SMALLEST_SIDE = 32
"""LR pixels; a device that cannot compute tiles this small cannot be used."""
_SHARE = 0.5
"""Of the free memory; the rest is left to other programs and the next tile."""

_MAPS = 8
"""Feature maps on the LR grid that are alive at once, without the shuffled ones."""
_CHANNELS = 64
_GROUP = Path("/sys/fs/cgroup")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out; torch raises several kinds."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = (
        "out of memory", "not enough memory", "can't allocate memory", "bad_alloc",
        "could not create a primitive", "could not create a memory",
    )  # fmt: skip
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def expected_bytes(network: Network, pixels: int, dtype: torch.dtype) -> int:
    """Upper estimate of the memory that computing ``pixels`` LR pixels needs.

    The last shuffle dominates: it holds ``C·s²`` values for each LR pixel, twice.
    """
    channels = int(getattr(network.config, "channels", _CHANNELS))
    scale = network.config.scale
    features = channels * (_MAPS + 3 * scale**2) * dtype.itemsize
    images = 3 * 4 * (scale**2 * 3 + 4)
    return pixels * (features + images)


def free_bytes(device: torch.device) -> int:
    """Free memory of a device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return min(int(psutil.virtual_memory().available), _cgroup_free_bytes(_GROUP))


def _cgroup_free_bytes(group: Path) -> int:
    """Memory left under a container's limit; a very large number without a limit.

    Cached file pages count as used, but the kernel frees them on demand.
    """
    try:
        limit, used = (int((group / f"memory.{w}").read_text()) for w in ("max", "current"))
        words = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        pages = sum(int(w[1]) for w in words if w[0] in ("active_file", "inactive_file"))
    except (OSError, ValueError):  # no such file, or "max"
        return 2**62
    return max(0, limit - used + pages)


class LargestTiles:
    """The largest tile that fits, for each model, device and precision that ran out of memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sides: dict[tuple[str, str, torch.dtype], int] = {}

    def side(self, key: tuple[str, str, torch.dtype]) -> int | None:
        """The largest side, LR pixels; None while no tile has failed."""
        with self._lock:
            return self._sides.get(key)

    def lower(self, key: tuple[str, str, torch.dtype], side: int) -> None:
        """Try no larger tile from now on."""
        with self._lock:
            self._sides[key] = min(side, self._sides.get(key, side))

    def clear(self) -> None:
        """Try whole tiles again."""
        with self._lock:
            self._sides.clear()


LARGEST_TILES = LargestTiles()
"""Shared by all engines of this process."""


@dataclass(frozen=True, slots=True)
class TileOutput:
    """The SR pixels of a tile, and how they were computed."""

    sr: Pixels
    """``(h, w, 3)``."""
    background: bool = False
    """Enlarged bicubically: the tile shows no tissue."""
    repeated: bool = False
    """Computed in float32: half precision gave values that are not finite."""
    parts: int = 1
    """Number of sub-tiles used to fit in memory."""
    error: NDArray[np.float32] | None = None
    """Predicted error of everything that was read, ``(h, w)`` on the LR grid, grey levels; None
    where the model does not predict it."""

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.sr.nbytes + (0 if self.error is None else self.error.nbytes)


class SplitOnOutOfMemory:
    """Runs a tile whole, or in overlapping parts where memory is short.

    Parameters
    ----------
    forward : Forward
        Computes the tile and its parts.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._model, self._device = forward.model, forward.device
        self._name = forward.device_name
        self._key = (forward.model.sha256, forward.device_name, forward.dtype)

    def expected_bytes(self, rows: int, columns: int) -> int:
        """Memory needed for a tile of ``rows × columns`` LR pixels."""
        return expected_bytes(self._model.network, rows * columns, self._forward.dtype)

    def run(
        self, lr: Tensor, reference: Tensor | None, degradation: Tensor | None = None
    ) -> TileOutput:
        """SR of a tile, computed in parts where the whole does not fit into memory.

        Parameters
        ----------
        lr, reference : Tensor
            ``(1, 3, h, w)`` and ``(1, 3, 2h, 2w)``, 0..1.
        degradation : Tensor, optional
            Their degradation as far as it is known, ``(1, 2, LENGTH)``.

        Raises
        ------
        ModelError
            If float32 gives values that are not finite.
        RequestError
            If not even the smallest part fits.
        """
        rows, columns = lr.shape[-2:]
        largest = LARGEST_TILES.side(self._key)
        if largest is None and not self._fits(rows, columns):
            largest = self._lower(max(rows, columns))
        if largest is not None and max(rows, columns) > largest:
            return self._run_in_parts(lr, reference, degradation)
        try:
            output, repeated = self._forward.run(lr, reference, degradation)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._lower(max(rows, columns), error)
        else:
            return TileOutput(to_pixels(output.sr[0]), repeated=repeated, error=error_of(output))
        # Out of the except block, so that the error's traceback no longer holds tensors.
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return self._run_in_parts(lr, reference, degradation)

    def _fits(self, rows: int, columns: int) -> bool:
        if max(rows, columns) <= SMALLEST_SIDE:
            return True
        return self.expected_bytes(rows, columns) <= _SHARE * free_bytes(self._device)

    def _lower(self, side: int, error: BaseException | None = None) -> int:
        """Halve the side, plus the halo that a part needs, for this and every later tile."""
        halo = self._model.config.halo
        least = max(SMALLEST_SIDE, 2 * halo + 2)
        if side <= least:
            raise RequestError(
                f"Device {self._name!r} ran out of memory even with tiles of {side} × "
                f"{side} LR pixels; release memory, close other programs or choose another device."
            ) from error
        smaller = max(least, side // 2 + halo) if side // 2 + halo < side else least
        LARGEST_TILES.lower(self._key, smaller)
        self._forward.warn(
            f"Device {self._name!r} has too little memory for whole tiles; they are "
            "computed in parts, which takes longer."
        )
        return smaller

    def _run_in_parts(
        self, lr: Tensor, reference: Tensor | None, degradation: Tensor | None
    ) -> TileOutput:
        """Cut along the longer side, compute both halves with a halo, and join them."""
        scale, halo = self._model.scale, self._model.config.halo
        axis = 0 if lr.shape[-2] >= lr.shape[-1] else 1
        side = lr.shape[axis - 2]
        cut = side // 4 * 2
        found = []
        for start, stop in ((0, cut), (cut, side)):
            begin, end = max(0, start - halo), min(side, stop + halo)
            if end - begin >= side:
                raise RequestError(
                    f"Device {self._name!r} has too little memory for tiles of {side} LR "
                    "pixels; release memory, close other programs or choose another device."
                )
            part = lr.narrow(axis - 2, begin, end - begin)
            fine = reference
            if reference is not None:
                fine = _packed(reference.narrow(axis - 2, 2 * begin, 2 * (end - begin)))
            half = self.run(_packed(part), fine, degradation)
            own, own_lr = (slice((start - begin) * f, (stop - begin) * f) for f in (scale, 1))
            found.append(
                replace(
                    half,
                    sr=_cut(half.sr, own, axis),
                    error=None if half.error is None else _cut(half.error, own_lr, axis),
                )
            )
        errors = [half.error for half in found if half.error is not None]
        return TileOutput(
            np.concatenate([half.sr for half in found], axis),
            repeated=any(half.repeated for half in found),
            parts=sum(half.parts for half in found),
            error=np.concatenate(errors, axis) if errors else None,
        )


def _cut(values: NDArray[Any], own: slice, axis: int) -> NDArray[Any]:
    return values[own] if axis == 0 else values[:, own]


def _packed(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
