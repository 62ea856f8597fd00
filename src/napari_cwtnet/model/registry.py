"""Models by name: those that ship, and those that the user made."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_cwtnet.errors import ModelError
from napari_cwtnet.model.base import Network
from napari_cwtnet.model.header import ModelHeader
from napari_cwtnet.model.weights import read_weights

SUFFIX = ".safetensors"
_SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Model(ModelHeader):
    """A network with its name and where it comes from."""

    sha256: str
    """Of the weights file."""
    network: Network
    """float32, on the CPU, in eval mode."""
    alone: Model | None = None
    """Other weights for single-image mode, where one set does not serve both modes well."""

    def serving(self, *, with_reference: bool) -> Model:
        """The weights that compute with the next-higher level, or without it."""
        return self if with_reference or self.alone is None else self.alone


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

    Where its provenance names other weights for single-image mode, those are loaded too.

    Raises
    ------
    ModelError
        If the name is unknown, or a file is missing, a pickle or damaged.
    """
    known = list_models()
    path = known.get(str(name), Path(name))
    if str(name) not in known and path.suffix != SUFFIX and not path.exists():
        raise ModelError(
            f"Model {str(name)!r} is unknown; choose one of {', '.join(known) or '(none)'} "
            f"or give a {SUFFIX} file."
        )
    model = _read(path)
    companion = model.provenance.get("single_image")
    if companion is None:
        return model
    alone = _read(path.parent / Path(str(companion)).name)
    if alone.config != model.config:
        raise ModelError(
            f"Weights {path} name {alone.path.name} for single-image mode, which is another "
            "network; put the file that belongs to them beside them."
        )
    return dataclasses.replace(model, alone=alone)


def _read(path: Path) -> Model:
    network, provenance, sha256 = read_weights(path)
    name = f"{path.stem} (foreign)" if "foreign" in provenance else path.stem
    return Model(name, path, network.config, provenance, sha256, network)
