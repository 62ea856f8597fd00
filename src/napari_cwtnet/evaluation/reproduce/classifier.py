"""The classifier of Table VI: a ResNet-50, its patches, training and predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError, RequestError
from napari_cwtnet.evaluation.reproduce.runs import Say
from napari_cwtnet.files import refuse_pipe, written_whole
from napari_cwtnet.training.fields import source_files
from napari_cwtnet.training.recipe import Recipe

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Inner channels, bottlenecks and stride of the first of them."""

_WIDENING = 4


def _conv_bn(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Bottleneck(nn.Module):
    """1×1 down, 3×3, 1×1 up, and a skip; the stride is in the 3×3, as in the later version."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = _WIDENING * inner
        self.path = nn.Sequential(
            _conv_bn(inputs, inner, 1),
            nn.ReLU(),
            _conv_bn(inner, inner, 3, stride),
            nn.ReLU(),
            _conv_bn(inner, outputs, 1),
        )
        same = stride == 1 and inputs == outputs
        self.skip = nn.Identity() if same else _conv_bn(inputs, outputs, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` to ``(N, 4 · inner, h / stride, w / stride)``."""
        result: Tensor = (self.path(features) + self.skip(features)).relu()
        return result


class ResNet50(nn.Module):
    """ResNet-50 for ``(N, 3, h, w)`` of any size, with mean about 0 and deviation about 1.

    Parameters
    ----------
    classes : int
        Number of logits.
    """

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_bn(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        width = 64
        for inner, count, stride in _STAGES:
            for index in range(count):
                layers.append(Bottleneck(width, inner, stride if index == 0 else 1))
                width = _WIDENING * inner
        self.features = nn.Sequential(*layers)
        self.classify = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes)``."""
        logits: Tensor = self.classify(self.features(images).mean((2, 3)))
        return logits


_WANTED = ("patches", "label", "image_id")


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Patches ``(n, h, w, 3)`` uint8, their labels 0 or 1, and the image that each is from."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sources: NDArray[np.str_]

    def where(self, chosen: NDArray[np.bool_]) -> Patches:
        """The chosen patches."""
        return Patches(self.images[chosen], self.labels[chosen], self.sources[chosen])


def read_patches(path: Path) -> Patches:
    """Patches from an ``.npz`` with ``patches``, ``label`` and ``image_id``.

    Raises
    ------
    RequestError
        If the file cannot be read, lacks one of them, or they do not match.
    """
    if path.is_file() and not is_zipfile(path):  # numpy's own error mentions pickles
        raise RequestError(f"Patches {path} are no .npz file; give one with {', '.join(_WANTED)}.")
    try:
        refuse_pipe(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            images, labels, sources = (archive[name] for name in _WANTED)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise RequestError(
            f"Patches {path} cannot be read: {why}; give an .npz with {', '.join(_WANTED)}."
        ) from error
    fits = images.ndim == 4 and images.shape[3] == 3 and images.dtype == np.uint8
    if not fits or len({len(images), len(labels), len(sources)}) != 1:
        raise RequestError(
            f"Patches {path} have shape {images.shape} and type {images.dtype} with "
            f"{len(labels)} labels; give (n, h, w, 3) of uint8 and as many labels."
        )
    if not set(np.unique(labels).tolist()) <= {0, 1}:
        raise RequestError(
            f"Patches {path} have the labels {np.unique(labels).tolist()[:5]}; give 0 and 1."
        )
    height, width = (side - side % 2 for side in images.shape[1:3])
    even = np.ascontiguousarray(images[:, :height, :width])
    return Patches(even, labels.astype(np.int64), sources.astype(str))


def split_patches(patches: Patches, recipe: Recipe, data: Path) -> tuple[Patches, Patches]:
    """Patches to train the classifier, and to test: from images that no method was trained on.

    Parameters
    ----------
    patches : Patches
        Their sources are file names without extension.
    recipe : Recipe
        Recipe of the methods; its held-out images are for testing.
    data : Path
        Its data root.

    Raises
    ------
    RequestError
        If either part lacks a class.
    """
    kept = {
        file.stem for source in recipe.sources for file in source_files(source, data, held_out=True)
    }
    tested = np.isin(patches.sources, sorted(kept))
    parts = patches.where(~tested), patches.where(tested)
    for part, what in zip(parts, ("to train the classifier", "to test"), strict=True):
        if len(set(part.labels.tolist())) < 2:
            raise RequestError(
                f"{len(part.labels)} patches are left {what}, with fewer than two classes; "
                "patches must be from images in the recipes' sources, by image_id."
            )
    return parts


_BATCH = 32
_RATE = 1e-3
_WEIGHT_DECAY = 1e-4


def trained_judge(
    patches: Patches,
    epochs: int,
    seed: int,
    path: Path,
    *,
    in_bfloat16: bool,
    cancel: CancelToken,
    say: Say,
) -> ResNet50:
    """A ResNet-50 in eval mode, trained on originals, or loaded from ``path`` if that exists.

    AdamW with cosine decay; flips, turns and slight changes of brightness.

    Raises
    ------
    CancelledError
        After a batch, if ``cancel`` was called; the next call starts over.
    """
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        judge = ResNet50()
    if path.exists():
        judge.load_state_dict(load_file(path))
        return judge.eval()
    say(f"training the classifier on {len(patches.labels)} patches, {epochs} epochs")
    judge.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(judge.parameters(), lr=_RATE, weight_decay=_WEIGHT_DECAY)
    generator = np.random.default_rng(seed)
    steps = epochs * math.ceil(len(patches.labels) / _BATCH)
    done = 0
    for _ in range(epochs):
        order = generator.permutation(len(patches.labels))
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            if len(chosen) < 2:  # BatchNorm needs more than one
                continue
            for group in optimiser.param_groups:
                group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * done / steps))
            images = _tensor(_changed(patches.images[chosen], generator))
            with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
                logits = judge(images)
            loss = F.cross_entropy(logits.float(), torch.from_numpy(patches.labels[chosen]))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done += 1
            if cancel.cancelled:
                raise CancelledError("Interrupted; the same command starts over.")
    state = {name: value.contiguous() for name, value in judge.state_dict().items()}
    with written_whole(path) as partial:
        save_file(state, partial)
    return judge.eval()


@torch.no_grad()
def probabilities(judge: ResNet50, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Probabilities of class 1, for ``(n, h, w, 3)`` uint8."""
    parts = [
        judge(_tensor(images[start : start + _BATCH])).softmax(1)[:, 1].double().numpy()
        for start in range(0, len(images), _BATCH)
    ]
    return np.concatenate(parts)


def _tensor(images: NDArray[np.uint8] | NDArray[np.float32]) -> Tensor:
    array = np.ascontiguousarray(images.astype(np.float32) / 127.5 - 1)
    tensor = torch.from_numpy(array).permute(0, 3, 1, 2)
    return tensor.contiguous(memory_format=torch.channels_last)


def _changed(images: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.float32]:
    found = []
    for image in images:
        turned = np.rot90(image, int(generator.integers(4)))
        mirrored = turned[:, ::-1] if generator.integers(2) else turned
        light = generator.uniform(0.9, 1.1)
        found.append(np.clip(mirrored.astype(np.float32) * light, 0, 255))
    return np.stack(found)
