"""Which models can be looked into."""

from __future__ import annotations

from napari_cwtnet.errors import RequestError
from napari_cwtnet.model import NetworkConfig
from napari_cwtnet.model.header import ModelHeader


def cwtnet_config(model: ModelHeader) -> NetworkConfig:
    """The config of a model that can be looked into.

    Raises
    ------
    RequestError
        If it is no CWT-Net: other networks have no attention and no WT branch.
    """
    config = model.config
    if isinstance(config, NetworkConfig):
        return config
    raise RequestError(
        f"Model {model.name!r} is of the architecture {config.architecture}, which has no "
        "attention inside to look at; choose a CWT-Net."
    )
