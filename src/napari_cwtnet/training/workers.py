"""Several processes that train one network together, started by torchrun.

Every process draws the same batch and computes its own part; the mean of their gradients is the
gradient of the whole batch. A run with several workers therefore equals a run with one up to
rounding, and any number of workers can resume a checkpoint. Batch normalisation (SRResNet, the
discriminator) is the exception: each worker normalises its own part of the batch, and the run
keeps the leader's running statistics.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.training.fields import Batch
from napari_cwtnet.training.recipe import Recipe


class Workers:
    """The processes of a run, seen from one of them; a single one without torchrun.

    Parameters
    ----------
    device : torch.device
        Device of this process. Processes exchange tensors by NCCL if each has its own GPU, else
        by Gloo.
    """

    def __init__(self, device: torch.device) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0")) if self.count > 1 else 0
        self._device = device
        if self.count > 1 and not dist.is_initialized():
            alone = device.type == "cuda" and _local_count() <= torch.cuda.device_count()
            dist.init_process_group("nccl" if alone else "gloo")
            atexit.register(dist.destroy_process_group)

    @property
    def leads(self) -> bool:
        """Whether this process measures, writes and reports."""
        return self.rank == 0

    def check_batch(self, size: int) -> None:
        """Raise :class:`TrainingError` where a batch cannot be divided evenly."""
        if size % self.count:
            raise TrainingError(
                f"A batch of {size} cannot be divided among {self.count} processes; choose a "
                f"multiple of {self.count} in the recipe."
            )

    def part_of(self, batch: Batch) -> Batch:
        """The patches that this process computes."""
        if self.count == 1:
            return batch
        own = slice(self.rank, None, self.count)
        return batch.part(own)

    def mean_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace gradients by their mean over all processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        sizes = [gradient.numel() for gradient in gradients]
        parts = torch.split(flat.div_(self.count), sizes)
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def mean(self, value: Tensor) -> float:
        """Mean of a scalar over all processes."""
        if self.count == 1:
            return float(value)
        shared = value.clone()
        dist.all_reduce(shared)
        return float(shared) / self.count

    def as_leader_says(self, value: float) -> float:
        """The leader's value for all processes, whose clocks and stop requests differ."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self._device)
        dist.broadcast(shared, 0)
        return float(shared)

    def wait(self) -> None:
        """Wait until all processes arrive here."""
        if self.count > 1:
            dist.barrier()


def _local_count() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def worker_device(name: str) -> str:
    """The device of this process: with torchrun, ``auto`` and ``cuda`` mean its own GPU.

    If there are more processes than GPUs, they share them.
    """
    local = os.environ.get("LOCAL_RANK")
    if local is not None and name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{int(local) % torch.cuda.device_count()}"
    return name


_WHOLE = 16
"""bfloat16 numbers that a kernel processes at once."""


def refuse_wrong_gradients(recipe: Recipe, device: torch.device) -> None:
    """Refuse to train some dilated convolutions in bfloat16 on a processor.

    With channels-last features, as in the trainer, and input channels that are no multiple of 16,
    weight gradients are NaN or wrong, or the process crashes (torch 2.13 with oneDNN, dilations 2
    and 3, seen for 17 to 56 channels). Fewer than 16 channels worked, without guarantee. Outputs
    and other gradients are right.

    Raises
    ------
    TrainingError
        If the recipe has such a network.
    """
    if recipe.dtype != "bfloat16" or device.type != "cpu":
        return
    with torch.device("meta"):
        network = recipe.new_network()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and max(module.dilation) > 1:
            channels = module.in_channels // module.groups
            if channels % _WHOLE:
                raise TrainingError(
                    f"This {recipe.architecture} cannot be trained in bfloat16 on a CPU: torch "
                    "computes wrong gradients for dilated convolutions whose channels are no "
                    f"multiple of {_WHOLE}, and {name} has {channels}; set dtype to float32 in the "
                    "recipe, or choose other channels."
                )
