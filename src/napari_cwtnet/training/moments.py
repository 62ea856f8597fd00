"""Adam's moments by the names of the parameters, so that a run can go on from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_MOMENTS = ("exp_avg", "exp_avg_sq")


def moments(
    optimiser: torch.optim.Optimizer, network: nn.Module, prefix: str = ""
) -> dict[str, Tensor]:
    """Both moments of every parameter that was stepped, as ``PREFIXexp_avg/NAME``."""
    found: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        for moment in _MOMENTS:
            value = optimiser.state[parameter].get(moment)
            if value is not None:
                found[f"{prefix}{moment}/{name}"] = value.contiguous()
    return found


def adam_steps(optimiser: torch.optim.Optimizer, network: nn.Module) -> dict[str, float]:
    """Steps of each parameter: one that a batch does not use is not stepped."""
    return {
        name: float(optimiser.state[parameter]["step"])
        for name, parameter in network.named_parameters()
        if "step" in optimiser.state[parameter]
    }


def put_back(
    optimiser: torch.optim.Optimizer,
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    steps: Mapping[str, Any],
    *,
    prefix: str = "",
    step: int = 0,
) -> None:
    """Give an optimiser what :func:`moments` and :func:`adam_steps` found; ``step`` for the rest.

    Raises
    ------
    KeyError
        If a moment is missing.
    """
    for name, parameter in network.named_parameters():
        if f"{prefix}exp_avg/{name}" in tensors:
            optimiser.state[parameter] = {
                "step": torch.tensor(float(steps.get(name, step))),
                # laid out in memory as the parameter is, so that sums round the same way
                **{
                    moment: torch.empty_like(parameter, requires_grad=False).copy_(
                        tensors[f"{prefix}{moment}/{name}"]
                    )
                    for moment in _MOMENTS
                },
            }
