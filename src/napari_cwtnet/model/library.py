"""The user's own models: added, renamed and deleted; shipped ones stay as they are."""

from __future__ import annotations

import re
from pathlib import Path

from napari_cwtnet.errors import ModelError
from napari_cwtnet.files import written_whole
from napari_cwtnet.model.registry import SUFFIX, list_models, load_model, user_model_folder

_NAME = re.compile(r"\w[\w.+ -]{0,79}")


def is_own(path: Path) -> bool:
    """Whether a weights file is in the user's folder of models."""
    return path.parent == user_model_folder()


def add_model(path: Path) -> str:
    """Copy a weights file into the user's folder of models; gives its name there.

    The file is read as a whole first, so that only what can be used is added.

    Raises
    ------
    ModelError
        If it is no model, or one of that name is there already.
    OutputError
        If the folder cannot be written.
    """
    if path.suffix.lower() != SUFFIX:
        raise ModelError(f"File {path.name!r} is no model; choose a {SUFFIX} file.")
    name = _free(path.stem)
    load_model(path.absolute())
    folder = user_model_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"Model {path.name!r} cannot be copied to {folder}: {error.strerror}; check both."
        ) from error
    with written_whole(folder / f"{name}{SUFFIX}") as partial:
        partial.write_bytes(content)
    return name


def rename_model(name: str, wanted: str) -> str:
    """Give an own model another name; gives the name, without a suffix that was typed.

    Raises
    ------
    ModelError
        If it is shipped or gone, or the new name is taken or no name.
    """
    path = _own(name)
    new = path.with_name(f"{_free(wanted)}{SUFFIX}")
    try:
        path.rename(new)
    except OSError as error:
        raise ModelError(
            f"Model {name!r} cannot be renamed: {error.strerror}; check {path.parent}."
        ) from error
    return new.stem


def delete_model(name: str) -> None:
    """Delete an own model's file.

    Raises
    ------
    ModelError
        If it is shipped or gone, or cannot be deleted.
    """
    path = _own(name)
    try:
        path.unlink()
    except OSError as error:
        raise ModelError(
            f"Model {name!r} cannot be deleted: {error.strerror}; check {path.parent}."
        ) from error


def _own(name: str) -> Path:
    path = list_models().get(name)
    if path is None:
        raise ModelError(f"Model {name!r} is unknown; choose one of {', '.join(list_models())}.")
    if not is_own(path):
        raise ModelError(f"Model {name!r} is shipped with the program; choose one of your own.")
    return path


def _free(wanted: str) -> str:
    name = wanted.strip().removesuffix(SUFFIX)
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"Name {wanted!r} is no name of a model; take letters, digits, spaces, . + _ and -."
        )
    if name.lower() in {known.lower() for known in list_models()}:
        raise ModelError(f"There is a model {name!r} already; choose another name.")
    return name
