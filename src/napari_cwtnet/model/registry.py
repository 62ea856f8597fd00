"""Models by name: those that ship, and those that the user made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from napari_cwtnet.errors import ModelError
from napari_cwtnet.model.config import NetworkConfig
from napari_cwtnet.model.network import CwtNet
from napari_cwtnet.model.weights import read_weights

SUFFIX = ".safetensors"
_SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Model:
    """A network with its name and where it comes from."""

    name: str
    path: Path
    sha256: str
    network: CwtNet
    """float32, on the CPU, in eval mode."""
    provenance: dict[str, Any]

    @property
    def config(self) -> NetworkConfig:
        """What the network is built from."""
        return self.network.config

    @property
    def scale(self) -> int:
        """SR pixels per LR pixel along each axis."""
        return self.config.scale

    @property
    def takes_reference(self) -> bool:
        """Whether it was trained with the next-higher level as WT input."""
        share = self.provenance.get("reference_share", 0)
        return self.config.wt_branch and isinstance(share, int | float) and share > 0


def user_model_folder() -> Path:
    """Where models made on this machine are kept; ``CWTNET_MODELS`` overrides it."""
    override = os.environ.get("CWTNET_MODELS")
    return (
        Path(override) if override else Path(platformdirs.user_data_dir("napari-cwtnet")) / "models"
    )


def list_models() -> dict[str, Path]:
    """Names and files of every model that :func:`load_model` knows; shipped ones first."""
    found: dict[str, Path] = {}
    for folder in (_SHIPPED, user_model_folder()):
        for path in sorted(folder.glob(f"[!.]*{SUFFIX}")):  # hidden ones are not whole yet
            found.setdefault(path.stem, path)
    return found


def load_model(name: str | Path) -> Model:
    """Load a model by its name, or from a ``.safetensors`` file.

    Raises
    ------
    ModelError
        If the name is unknown, or the file is missing, a pickle or damaged.
    """
    known = list_models()
    path = known.get(str(name), Path(name))
    if str(name) not in known and path.suffix != SUFFIX and not path.exists():
        raise ModelError(
            f"Model {str(name)!r} is unknown; choose one of {', '.join(known) or '(none)'} "
            f"or give a {SUFFIX} file."
        )
    network, provenance, sha256 = read_weights(path)
    return Model(path.stem, path, sha256, network, provenance)
