"""The weights of a model on its device, one set for each precision that is in use."""

from __future__ import annotations

import copy
import threading

import torch

from napari_cwtnet.model import Model, Network


class Networks:
    """Copies of a model's networks, ready to compute; the model is left alone.

    Those of the chosen precision are made at once, those of float32 when they are first needed.

    Parameters
    ----------
    model : Model
        Whose weights.
    device : torch.device
        Where they are to be.
    dtype : torch.dtype
        Their precision; float32 where the network does not take another.
    """

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype) -> None:
        self._model, self._device = model, device
        self.dtype = dtype if model.network.takes_half else torch.float32
        self._made: dict[torch.dtype, Network] = {}
        self._lock = threading.Lock()
        self.get()

    def get(self, dtype: torch.dtype | None = None) -> Network:
        """The network, in the chosen precision if none is given."""
        dtype = dtype or self.dtype
        with self._lock:
            if dtype not in self._made:
                self._made[dtype] = self._placed(dtype)
            return self._made[dtype]

    def _placed(self, dtype: torch.dtype) -> Network:
        network = copy.deepcopy(self._model.network)
        network.to(self._device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.eval()
