"""Weights of other projects, for comparison: what spandrel reads, where that is installed."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

from pydantic import Field
from torch import Tensor

from napari_cwtnet.errors import ModelError
from napari_cwtnet.model.base import BaseConfig, Network, Scale
from napari_cwtnet.model.records import NetworkOutput


class ForeignConfig(BaseConfig):
    """What little is known of a network that others made."""

    architecture: ClassVar[str] = "foreign"

    kind: str = Field(description="what spandrel takes it for")
    halo: int = 16


class Foreign(Network):
    """A network that spandrel has built from its weights; what it gives is clipped to 0..1."""

    config: ForeignConfig

    def __init__(self, config: ForeignConfig, descriptor: Any) -> None:
        super().__init__()
        self.config = config
        self.network = descriptor.model
        self._descriptor = descriptor  # fills the borders as the network wants it

    def forward(
        self, lr: Tensor, reference: Tensor | None = None, *, record: bool = False
    ) -> NetworkOutput:
        """As :class:`~napari_cwtnet.model.base.Network`; a reference is refused."""
        del record
        if reference is not None:
            raise ValueError(f"{self.config.architecture} takes no reference")
        return NetworkOutput(sr=self._descriptor(lr))


def foreign_network(finding: str, tensors: dict[str, Tensor]) -> Foreign:
    """The network that the tensors of a file which is not ours belong to.

    Parameters
    ----------
    finding : str
        That it is not ours; begins every message.
    tensors : dict
        What the file holds.

    Raises
    ------
    ModelError
        If spandrel is not installed, does not know them, or they are no ×2, ×4 or ×8 of RGB.
    """
    try:
        from spandrel import ImageModelDescriptor, ModelLoader
    except (ImportError, RuntimeError) as error:  # RuntimeError: of a torchvision that fits not
        raise ModelError(
            f"{finding}; choose another file, or install spandrel to use weights of other "
            f"projects ({' '.join(str(error).split())[:100]})."
        ) from error
    try:
        found = ModelLoader().load_from_state_dict(tensors)
    except Exception as error:  # it guesses at tensors that may be anything
        raise ModelError(
            f"{finding}, and spandrel does not know them either; choose another file."
        ) from error
    kind = found.architecture.name
    if not isinstance(found, ImageModelDescriptor) or found.scale not in get_args(Scale):
        raise ModelError(f"{finding}, but {kind}, and no ×2, ×4 or ×8; choose another file.")
    if (found.input_channels, found.output_channels) != (3, 3):
        raise ModelError(f"{finding}, but {kind}, and not of RGB; choose another file.")
    config = ForeignConfig(scale=found.scale, kind=kind)
    return Foreign(config, found)
