"""What a weights file says of itself, read without its tensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from napari_cwtnet.errors import ModelError
from napari_cwtnet.model.architectures import (
    CWTNET,
    Architecture,
    find_architecture,
    list_architectures,
)
from napari_cwtnet.model.base import BaseConfig


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """Enough of a model to plan with; see :class:`~napari_cwtnet.model.Model` for the rest."""

    name: str
    path: Path
    config: BaseConfig
    provenance: dict[str, Any]

    @property
    def scale(self) -> int:
        """SR pixels per LR pixel along each axis."""
        return self.config.scale

    @property
    def takes_degradation(self) -> bool:
        """Whether it can be told what its input went through."""
        return getattr(self.config, "conditioning", 0) > 0

    @property
    def takes_reference(self) -> bool:
        """Whether it was trained with the next-higher level as WT input."""
        share = self.provenance.get("reference_share", 0)
        return self.config.wt_branch and isinstance(share, int | float) and share > 0


def read_header(path: Path) -> ModelHeader:
    """Config and provenance of a weights file, within a few milliseconds.

    Raises
    ------
    ModelError
        If the file is missing or has no usable header.
    """
    try:
        stamp = path.stat()
        return _read(path, stamp.st_mtime_ns, stamp.st_size)
    except (OSError, RecursionError, SafetensorError, ValidationError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise ModelError(f"Weights {path} cannot be read: {why}; choose another model.") from error


def architecture_in(metadata: dict[str, str], path: Path) -> Architecture:
    """The architecture that a file's metadata name; files of CWT-Net name none.

    Raises
    ------
    ModelError
        If no installed package provides it.
    """
    name = metadata.get("architecture", CWTNET)
    if name in list_architectures():
        return find_architecture(name)
    package = metadata.get("package", "")[:100]
    advice = f"install the package {package!r}" if package else "choose another file"
    raise ModelError(
        f"Weights {path} are of the architecture {name[:100]!r}, which no package that is "
        f"installed here knows; {advice}."
    )


@lru_cache(maxsize=64)
def _read(path: Path, _modified: int, _size: int) -> ModelHeader:
    with safe_open(path, framework="pt") as archive:
        metadata = archive.metadata() or {}
    architecture = architecture_in(metadata, path)
    config = architecture.config.model_validate_json(metadata.get("config", ""))
    provenance = json.loads(metadata.get("provenance", "{}"))
    return ModelHeader(path.stem, path, config, provenance if isinstance(provenance, dict) else {})
