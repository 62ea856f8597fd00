"""What a row makes of the test fields, and how near that is to the truth."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.reproduce.experiment import Row
from napari_cwtnet.files import written_whole
from napari_cwtnet.metrics import psnr, ssim
from napari_cwtnet.model.base import Network
from napari_cwtnet.training.fields import Field
from napari_cwtnet.training.validation import enhanced, enlarged

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


@dataclass(frozen=True, slots=True)
class FieldFigures:
    """Figures of every test field, in their order."""

    fields: list[str]
    psnr: list[float]
    ssim: list[float]
    cpu_seconds_per_megapixel: float
    """Of SR, by one process."""
    lpips: dict[str, list[float]] = field(default_factory=dict)
    """ST-LPIPS by backbone, where it was asked for."""


def image_of(row: Row, network: Network | None, truth: Field, scale: int) -> NDArray[np.uint8]:
    """What a row makes of one field, ``(H, W, 3)`` uint8.

    Parameters
    ----------
    row : Row
        Its test says what is given to the network.
    network : Network, optional
        None where the row trains none. For a test on the reference: of half the scale.
    truth : Field
        LR, reference and truth.
    scale : int
        Of the truth to LR.

    Raises
    ------
    RequestError
        If the reference would be the truth, and the row is no oracle.
    """
    if row.test in ("bicubic", "bicubic of the reference"):
        return enlarged(truth, scale, of_reference=row.test != "bicubic")
    if network is None:
        raise AssertionError(f"row {row.name!r} has no network")
    if row.test == "half the scale, on the reference":
        finer = replace(truth, lr=truth.reference, reference=truth.truth)
        return enhanced(network, finer, with_reference=False)
    if row.test == "cross-scale" and scale == 2:
        raise RequestError(
            f"Row {row.name!r}: the reference at ×2 is the answer itself; only an oracle has it."
        )
    return enhanced(network, truth, with_reference=row.test != "single-image")


def measured(
    row: Row,
    network: Network | None,
    fields: Sequence[Field],
    scale: int,
    *,
    perceptual: Iterable[Perceptual] = (),
    cancel: CancelToken | None = None,
) -> FieldFigures:
    """Figures of a row: 8-bit RGB, cropped by the scale, as everywhere in this package.

    Raises
    ------
    CancelledError
        Between two fields, after ``cancel`` was called.
    """
    cancel = cancel or CancelToken()
    metrics = list(perceptual)
    names, ratios, likeness = [], [], []
    lpips: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    seconds = pixels = 0.0
    for one in fields:
        cancel.raise_if_cancelled()
        before = time.process_time()
        image = image_of(row, network, one, scale)
        seconds += time.process_time() - before
        pixels += image.shape[0] * image.shape[1]
        names.append(one.name)
        ratios.append(psnr(image, one.truth, scale))
        likeness.append(ssim(image, one.truth, scale))
        for metric in metrics:
            lpips[metric.name].append(metric(image, one.truth))
    return FieldFigures(names, ratios, likeness, seconds / pixels * 1e6, lpips)


def keep(tested: FieldFigures, path: Path) -> None:
    """Write figures to a JSON file, whole or not at all."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(asdict(tested)), encoding="utf-8")


def kept(path: Path) -> FieldFigures | None:
    """Figures that were written before; None where there are none that can be read."""
    try:
        return FieldFigures(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return None
