"""Training the classifier on original patches, and asking it about any others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError
from napari_cwtnet.evaluation.reproduce.classification.patches import Patches
from napari_cwtnet.evaluation.reproduce.classification.resnet import ResNet50
from napari_cwtnet.evaluation.reproduce.runs import Say
from napari_cwtnet.files import written_whole

_BATCH = 32
_RATE = 1e-3
_WEIGHT_DECAY = 1e-4


def trained_judge(
    patches: Patches, epochs: int, seed: int, path: Path, *, cancel: CancelToken, say: Say
) -> ResNet50:
    """A ResNet-50 in eval mode, trained on originals; taken from ``path`` if it is there.

    AdamW with a cosine, flips and turns, and a little more or less light; bfloat16 where that is
    enough.

    Raises
    ------
    CancelledError
        After a batch, if ``cancel`` was called; the next call begins anew.
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
            if len(chosen) < 2:  # BatchNorm wants more than one
                continue
            for group in optimiser.param_groups:
                group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * done / steps))
            images = _tensor(_changed(patches.images[chosen], generator))
            with torch.autocast("cpu", torch.bfloat16):
                logits = judge(images)
            loss = F.cross_entropy(logits.float(), torch.from_numpy(patches.labels[chosen]))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done += 1
            if cancel.cancelled:
                raise CancelledError("Interrupted; the same command trains the classifier anew.")
    state = {name: value.contiguous() for name, value in judge.state_dict().items()}
    with written_whole(path) as partial:
        save_file(state, partial)
    return judge.eval()


@torch.no_grad()
def probabilities(judge: ResNet50, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of class 1, for ``(n, h, w, 3)`` uint8."""
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
