"""Models by name: shipped ones and the user's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_cwtnet.errors import ModelError
from napari_cwtnet.model.base import Network
from napari_cwtnet.model.weights import ModelHeader, read_header, read_weights

SUFFIX = ".safetensors"
MODEL_FOLDER = "CWTNET_MODELS"
"""Environment variable that names another folder of models."""
_NAMED = 5
_SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Model(ModelHeader):
    """A loaded model: header and network."""

    sha256: str
    """SHA-256 of the weights file."""
    network: Network
    """float32, on the CPU, in eval mode."""


def user_model_folder() -> Path:
    """Folder of the user's own models; ``CWTNET_MODELS`` overrides it."""
    override = os.environ.get(MODEL_FOLDER)
    return (
        Path(override) if override else Path(platformdirs.user_data_dir("napari-cwtnet")) / "models"
    )


def list_models() -> dict[str, Path]:
    """Names and files of every model that :func:`load_model` knows; shipped ones first."""
    found: dict[str, Path] = {}
    for folder in (_SHIPPED, user_model_folder()):
        for path in sorted(folder.glob(f"[!.]*{SUFFIX}")):  # hidden ones are still being written
            found.setdefault(path.stem, path)
    return found


def load_model(name: str | Path) -> Model:
    """Load a model by its name, or from a ``.safetensors`` file.

    Raises
    ------
    ModelError
        If the name is unknown or a folder, or the file is missing, a pickle or damaged.
    """
    known = list_models()
    path = known.get(str(name), Path(name))
    if path.is_dir():
        raise ModelError(f"Model {str(name)!r} is a folder {_what_is_in(path)}.")
    if str(name) not in known and path.suffix != SUFFIX and not path.exists():
        raise ModelError(
            f"Model {str(name)!r} is unknown; choose one of {', '.join(known) or '(none)'} "
            f"or give a {SUFFIX} file."
        )
    network, provenance, sha256 = read_weights(path)
    name = f"{path.stem} (foreign)" if "foreign" in provenance else path.stem
    count = network.parameter_count()
    return Model(name, path, network.config, provenance, sha256, network, parameters=count)


def _what_is_in(folder: Path) -> str:
    """The weights files in a folder, for an error message: a run's folder has a state as well."""
    models, others = [], []
    for path in sorted(folder.glob(f"[!.]*{SUFFIX}")):
        try:
            models.append(str(read_header(path).path))
        except ModelError:
            others.append(path.name)
    if models:
        more = ", …" if len(models) > _NAMED else ""
        one = "the weights file in it" if len(models) == 1 else "one of the weights files in it"
        return f"and no file; give {one}: {', '.join(models[:_NAMED])}{more}"
    none = f" ({', '.join(others[:_NAMED])}: no model)" if others else ""
    return f"that holds no model's weights{none}; give a {SUFFIX} file"
