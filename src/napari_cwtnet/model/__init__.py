"""The network: config, wavelet, search, blocks, weights."""

from napari_cwtnet.model.architectures import Architecture, find_architecture, list_architectures
from napari_cwtnet.model.base import BaseConfig, BlockRecord, Network, NetworkOutput
from napari_cwtnet.model.config import NetworkConfig, preset
from napari_cwtnet.model.network import CwtNet
from napari_cwtnet.model.registry import Model, list_models, load_model, user_model_folder
from napari_cwtnet.model.weights import read_weights, save_weights

__all__ = [
    "Architecture",
    "BaseConfig",
    "BlockRecord",
    "CwtNet",
    "Model",
    "Network",
    "NetworkConfig",
    "NetworkOutput",
    "find_architecture",
    "list_architectures",
    "list_models",
    "load_model",
    "preset",
    "read_weights",
    "save_weights",
    "user_model_folder",
]
