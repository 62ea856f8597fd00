"""Data of a table: its sources, their fingerprint, and the test fields."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from napari_cwtnet.errors import CwtnetError, RequestError
from napari_cwtnet.evaluation.reproduce.experiment import SCANNER_MIX, Degradation
from napari_cwtnet.files import read_file
from napari_cwtnet.slides import open_slide
from napari_cwtnet.training.data import load_data
from napari_cwtnet.training.fields import Field, PatchSampler, source_files
from napari_cwtnet.training.recipe import ImageSource, Recipe, first_wrong
from napari_cwtnet.training.slide_fields import LEAST_TISSUE, tissue_mask

_LIKE = "{name: mine, folder: pngs, licence: CC0-1.0, held_out: ['7_*']}"


def read_sources(path: Path) -> list[ImageSource]:
    """The sources listed in a file, with folders relative to its own.

    Raises
    ------
    RequestError
        If it cannot be read, a field of an entry is missing, unknown or out of range, or nothing
        is left to train on or to test on.
    TrainingError
        If a folder holds no image.
    """
    listed = _entries(path)
    if not isinstance(listed, list) or not listed:
        raise RequestError(f"{path} is no list of sources; give lines like - {_LIKE}.")
    sources = [
        _source(fields, f"{path}, {_title(fields, number)}")
        for number, fields in enumerate(listed, start=1)
    ]
    _refuse_one_sided(path, sources)
    return sources


def _refuse_one_sided(path: Path, sources: list[ImageSource]) -> None:
    """Refuse sources that together leave nothing to train on, or nothing to test on."""
    patterns = " and ".join(
        f"{_title({'name': source.name}, number)}, {list(source.held_out)}"
        for number, source in enumerate(sources, start=1)
        if source.held_out
    )
    if not patterns:
        raise RequestError(
            f"No source in {path} keeps images for testing; give held_out, a list of file name "
            "patterns, to one of them."
        )
    to_train, to_test = (
        sum(len(source_files(source, path.parent, held_out=held_out)) for source in sources)
        for held_out in (False, True)
    )
    if not to_train:
        raise RequestError(
            f"{path}: nothing is left to train on: held_out ({patterns}) keeps all {to_test} "
            "images for testing; give patterns that only some file names match."
        )
    if not to_test:
        raise RequestError(
            f"{path}: nothing is kept for testing: no file name of {to_train} images matches "
            f"held_out ({patterns}); give patterns that some of them match."
        )


def _entries(path: Path) -> Any:
    try:
        return yaml.safe_load(read_file(path))
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}; check the file.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise RequestError(f"{path}{where}: not YAML: {error.problem}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise RequestError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}.") from error


def _title(fields: Any, number: int) -> str:
    """The entry's number, and its name if it has one."""
    name = fields.get("name") if isinstance(fields, dict) else None
    return f"entry {number}" + (f" ({name!r})" if isinstance(name, str) else "")


def _source(fields: Any, title: str) -> ImageSource:
    if not isinstance(fields, dict):
        raise RequestError(f"{title}: {fields!r} is no source; give a line like - {_LIKE}.")
    try:
        return ImageSource.model_validate(fields)
    except ValidationError as error:
        raise RequestError(f"{title}: {first_wrong(error, ImageSource, 'the entry')}.") from error


SOURCES_FILE = "sources.yaml"
_OWN_SOURCES = Path(__file__).with_name("table_sources.yaml")
_STORED = 0.01
_LEAST_SIDE = 44
"""Truth pixels; after the crop by a scale of 8, a smaller image has too few for SSIM's window."""


def sources_of(data: Path, degradation: Degradation, scale: int) -> dict[str, Any]:
    """The data of a recipe, from what exists, and how LR is made of them.

    Parameters
    ----------
    data : Path
        For ``levels``: slides that store the levels; others are ignored. Otherwise folders named as
        in ``table_sources.yaml``, or a ``sources.yaml`` with a list of such sources.
    degradation : {"bicubic", "levels", "scanner"}
        How LR and reference are made.
    scale : int
        Super-resolution factor.

    Raises
    ------
    RequestError
        If there is nothing to train on, or nothing held out.
    """
    if not data.is_dir():
        raise RequestError(f"Data folder {data} does not exist; check --data.")
    if degradation == "levels":
        return _slides(data, scale)
    return _images(data) | ({"degradation": SCANNER_MIX} if degradation == "scanner" else {})


def _images(data: Path) -> dict[str, Any]:
    own = data / SOURCES_FILE
    if own.exists():
        sources = read_sources(own)
    else:
        listed = yaml.safe_load(_OWN_SOURCES.read_text(encoding="utf-8"))["sources"]
        known = [ImageSource.model_validate(fields) for fields in listed]
        sources = [s for s in known if s.held_out and (data / s.folder).is_dir()]
    if not sources:
        raise RequestError(
            f"Folder {data} holds none of the tables' own sources that keep images for "
            f"testing, and no {SOURCES_FILE}; check --data."
        )
    return {"sources": [source.model_dump(mode="json") for source in sources]}


def _slides(data: Path, scale: int) -> dict[str, Any]:
    """Slides that store levels of downsample ``scale / 2`` and ``scale``."""
    found = []
    for path in sorted(p for p in data.rglob("*") if p.is_file()):
        try:
            with open_slide(path) as slide:
                stored = [level.downsample for level in slide.levels]
        except CwtnetError:
            continue
        wanted = {scale / 2, float(scale)}
        if all(any(abs(d / want - 1) < _STORED for d in stored) for want in wanted):
            found.append({"path": str(path.relative_to(data)), "levels": "stored"})
    if not found:
        raise RequestError(
            f"Folder {data} holds no slide that stores levels of downsample {scale / 2:g} and "
            f"{scale}; choose another --data, or --degradation bicubic."
        )
    return {"slides": found}


def fingerprint(recipe: Recipe, data: Path) -> str:
    """SHA-256 of the files that a recipe reads, by source and name."""
    total = hashlib.sha256()
    for source in recipe.sources:
        for held_out in (False, True):
            for path in source_files(source, data, held_out=held_out):
                label = f"{source.name} {path.name} {held_out} "
                total.update(label.encode() + _digest_of(path))
    for slide in recipe.slides:
        total.update(_digest_of(data / slide.path))
    return total.hexdigest()[:16]


def _digest_of(path: Path) -> bytes:
    found = path.stat()
    return _digest(path, found.st_size, found.st_mtime_ns)


@functools.cache
def _digest(path: Path, _size: int, _changed: int) -> bytes:
    """SHA-256 of a file, read once for all rows and seeds, and again when it has changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def fields_to_test(recipe: Recipe, data: Path, side: int, per_image: int) -> list[Field]:
    """The middle of every held-out image, or several fields around it: the same for all rows.

    Fields of slides must show tissue, as in training.

    Parameters
    ----------
    recipe : Recipe
        Defines what is held out.
    data : Path
        Its data root.
    side : int
        Side of a field, truth pixels; less for smaller images.
    per_image : int
        Largest number of adjacent fields around the middle.

    Raises
    ------
    RequestError
        If no image is large enough, or no field of a slide shows tissue.
    TrainingError
        If no training image is, or the data cannot be used.
    """
    found = load_data(recipe, data)
    PatchSampler(found.training, recipe.scale, recipe.patch)  # raises what training would raise
    fields = crops(found.held_out, recipe.scale, side, per_image)
    return _with_tissue(fields) if recipe.slides else fields


def _with_tissue(fields: list[Field]) -> list[Field]:
    """The fields that show tissue.

    A held-out field has tissue by the slide's thumbnail, but its middle may have none.
    """
    found = [field for field in fields if tissue_mask(field.truth).mean() >= LEAST_TISSUE]
    if not found:
        raise RequestError(
            f"None of {len(fields)} held-out fields shows tissue in its middle (a share of "
            f"{LEAST_TISSUE:g} or more); choose slides with more tissue in their right-hand third."
        )
    return found


def crops(fields: Sequence[Field], scale: int, side: int, per_image: int) -> list[Field]:
    """Fields of ``side`` truth pixels around the middle of each."""
    found: list[Field] = []
    across = max(1, int(per_image**0.5))
    for field in fields:
        height, width = field.lr.shape[:2]
        h, w = (min(side // scale, length) for length in (height, width))
        if min(h, w) * scale < _LEAST_SIDE:
            continue
        rows, columns = (min(across, length // part) for length, part in ((height, h), (width, w)))
        top, left = (height - rows * h) // 2, (width - columns * w) // 2
        for row in range(rows):
            for column in range(columns):
                part = field.crop(top + row * h, left + column * w, h, w, scale)
                name = f"{field.name} {row},{column}"
                found.append(replace(part, name=name))
    if not found:
        raise RequestError(
            f"No held-out image has {_LEAST_SIDE} pixels along each side to be tested on at "
            f"×{scale}; hold out larger ones."
        )
    return found
