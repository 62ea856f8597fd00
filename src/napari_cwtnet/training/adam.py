"""Adam without torch.compile's modules, which take seconds to import and which no run uses."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim.optimizer import Optimizer


class Adam(torch.optim.Adam):
    """Adam; its bits and its state are those of :class:`torch.optim.Adam`.

    torch wraps these methods for torch.compile, and each wrapper imports torch._dynamo when it is
    first called: a third of the time from the start of a run to its first step.
    """

    def step(self, closure: Any = None) -> Any:
        """Update the parameters."""
        with torch.no_grad():
            return inspect.unwrap(torch.optim.Adam.step)(self, closure)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters to update."""
        inspect.unwrap(Optimizer.add_param_group)(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients, or fill them with 0."""
        inspect.unwrap(Optimizer.zero_grad)(self, set_to_none)
