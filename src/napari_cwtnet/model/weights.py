"""Weights as safetensors, with the config and the provenance in the header. Never a pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from napari_cwtnet.errors import ModelError
from napari_cwtnet.files import written_whole
from napari_cwtnet.model.config import NetworkConfig
from napari_cwtnet.model.network import CwtNet

FORMAT = "cwtnet-1"
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80")


def save_weights(
    path: Path,
    network: CwtNet,
    provenance: dict[str, Any],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a network to ``path``, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``.
    network : CwtNet
        What to keep.
    provenance : dict
        What can be said of how it came to be; JSON values.
    dtype : torch.dtype
        float16 halves the file.
    """
    tensors = {
        name: value.detach().cpu().to(dtype).contiguous()
        for name, value in network.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "config": network.config.model_dump_json(),
        "provenance": json.dumps(provenance, ensure_ascii=False, sort_keys=True),
    }
    with written_whole(path) as partial:
        partial.write_bytes(save(tensors, metadata))


def read_weights(path: Path) -> tuple[CwtNet, dict[str, Any], str]:
    """Read a network that :func:`save_weights` wrote.

    Returns
    -------
    network, provenance, sha256 : CwtNet (float32, CPU, eval mode), dict, str

    Raises
    ------
    ModelError
        If the file is missing, a pickle, damaged, or not a CWT-Net.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"Weights {path} cannot be read: {error.strerror}.") from error
    if content.startswith(_PICKLE_STARTS):
        raise ModelError(
            f"Weights {path} are a pickle, which can run code when loaded; "
            "only .safetensors files are opened."
        )
    try:
        with safe_open(path, framework="pt") as archive:
            metadata = archive.metadata() or {}
            tensors = {name: archive.get_tensor(name).float() for name in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"Weights {path} are damaged: {_one_line(error)}.") from error
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"Weights {path} are not a CWT-Net: format {metadata.get('format')!r}, "
            f"wanted {FORMAT!r}."
        )
    try:
        network = CwtNet(NetworkConfig.model_validate_json(metadata["config"]))
        network.load_state_dict(tensors)
        provenance = json.loads(metadata.get("provenance", "{}"))
    except (ValidationError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"Weights {path} do not fit their own config: {_one_line(error)}."
        ) from error
    return network.eval(), provenance, hashlib.sha256(content).hexdigest()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
