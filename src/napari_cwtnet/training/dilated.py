"""Networks that torch cannot train in bfloat16 on a processor."""

from __future__ import annotations

import torch
from torch import nn

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.training.recipe import Recipe

_WHOLE = 16
"""bfloat16 numbers that a kernel takes at once."""


def refuse_wrong_gradients(recipe: Recipe, device: torch.device) -> None:
    """Refuse to train some dilated convolutions in bfloat16 on a processor.

    Where features are laid out channels last, as the trainer has them, and the channels that go in
    are no multiple of 16, weight gradients are NaN or wrong, or the process ends with a
    segmentation fault (torch 2.13 with oneDNN, dilations 2 and 3, seen for 17 to 56 channels).
    Fewer than 16 went well, but by no promise. Outputs and other gradients are right.

    Raises
    ------
    TrainingError
        If the recipe asks for that.
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
