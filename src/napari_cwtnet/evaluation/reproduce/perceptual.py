"""ST-LPIPS, a shift-tolerant LPIPS whose networks come with its package, if that is installed."""

from __future__ import annotations

import importlib

import numpy as np
import torch
from numpy.typing import NDArray

NETWORKS = ("alex", "vgg")


class Perceptual:
    """One network of ST-LPIPS (Ghildyal and Liu 2022). Its figures are not those of LPIPS.

    Parameters
    ----------
    network : {"alex", "vgg"}
        Backbone.

    Raises
    ------
    ImportError, RuntimeError
        If the package, or the torchvision that it imports, is missing or does not suit torch.
    """

    def __init__(self, network: str) -> None:
        self.name = f"ST-LPIPS {network}"
        library = importlib.import_module("stlpips_pytorch.stlpips")
        with torch.random.fork_rng(devices=()):
            self._distance = library.LPIPS(net=network, variant="shift_tolerant", verbose=False)

    @torch.no_grad()
    def __call__(self, image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
        """Distance of two ``(H, W, 3)`` uint8 images; 0 where they are equal."""
        pair = [
            torch.from_numpy(np.array(i)).permute(2, 0, 1)[None].float() / 127.5 - 1
            for i in (image, truth)
        ]
        return float(self._distance(*pair))


def available() -> list[Perceptual]:
    """Both networks, or none where the extra ``evidence`` is not installed or cannot be loaded."""
    try:
        return [Perceptual(network) for network in NETWORKS]
    except (ImportError, RuntimeError, OSError, AttributeError):  # a torchvision of another torch
        return []
