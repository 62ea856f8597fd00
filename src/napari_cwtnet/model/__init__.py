"""The network: config, wavelet, search, blocks, weights."""

from napari_cwtnet.model.config import NetworkConfig, preset
from napari_cwtnet.model.network import CwtNet
from napari_cwtnet.model.records import BlockRecord, NetworkOutput
from napari_cwtnet.model.registry import Model, list_models, load_model, user_model_folder
from napari_cwtnet.model.weights import read_weights, save_weights

__all__ = [
    "BlockRecord",
    "CwtNet",
    "Model",
    "NetworkConfig",
    "NetworkOutput",
    "list_models",
    "load_model",
    "preset",
    "read_weights",
    "save_weights",
    "user_model_folder",
]
