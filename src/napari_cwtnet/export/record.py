"""What a computed image says of itself: in the image, which is the truth, and in a file beside it.

The record holds digests of the pixels, so that an image and its record can be told to be of one
run.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    ValidationError,
)

from napari_cwtnet.enhancement import Quality
from napari_cwtnet.errors import OutputError, SlideError
from napari_cwtnet.export.dicom import stored_levels
from napari_cwtnet.export.pyramid import CHUNK, level_sizes
from napari_cwtnet.files import read_file, written_whole
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.backend import TileCache
from napari_cwtnet.slides.provenance_tags import record_of

_PACKAGES = ("napari-cwtnet", "torch", "numpy", "pillow", "tifffile", "zarr", "openslide-python")
_CACHE_BYTES = 16 * 2**20

Pixels = NDArray[np.uint8]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Image(Protocol):
    """``(height, width, 3)`` uint8 RGB that is cut like an array, and need not be in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and 3."""

    def __getitem__(self, place: tuple[slice, slice], /) -> Pixels:
        """The pixels of a rectangle."""


class Source(BaseModel):
    """How a slide is compared with the one that an image was computed from, block by block."""

    model_config = ConfigDict(frozen=True)

    files: Sha256
    """State of the slide's files."""
    read: Sha256
    """Digest of all pixels that were read."""
    side: PositiveInt
    strip: PositiveInt


class Record(BaseModel):
    """The part of a record that this program reads back; the rest is provenance."""

    model_config = ConfigDict(extra="allow", frozen=True)

    computed: Literal[True]
    badge: str
    output_size: tuple[PositiveInt, PositiveInt]
    pixels_sha256: tuple[Sha256, ...]
    quality: dict[str, FiniteFloat | None] | None
    source: Source | None = None
    """None of an image that was computed in one piece."""
    background_tiles: NonNegativeInt = 0
    float32_tiles: NonNegativeInt = 0
    tiles_in_parts: NonNegativeInt = 0

    @property
    def figures(self) -> Quality:
        """PSNR and SSIM against the slide."""
        known = self.quality or {}
        return Quality(**{name: known.get(name) for name in Quality.__dataclass_fields__})


def image_record(
    provenance: Mapping[str, Any],
    size: Size,
    digests: Sequence[str],
    *,
    badge_on_pixels: bool = False,
    figures: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of an image, as JSON values.

    Parameters
    ----------
    provenance : mapping
        JSON values; no name of a file, for those tell of patients.
    size : Size
        Of the image, pixels.
    digests : sequence of str
        Of its levels, as :func:`level_digest` gives them.
    badge_on_pixels : bool
        Whether some pixels are the badge's.
    figures : mapping, optional
        PSNR and SSIM against the slide, by name.
    """
    return {
        "computed": True,
        **provenance,
        "quality": None if figures is None else {k: _finite(v) for k, v in figures.items()},
        "output_size": [size.width, size.height],
        "pixels_sha256": list(digests),
        "badge_on_pixels": badge_on_pixels,
        "versions": {"python": platform.python_version(), **_versions()},
    }


def level_digest(image: Image) -> str:
    """Hex digits that tell the pixels of a level from others, whatever the format."""
    height, width = image.shape[:2]
    return joined_digest(
        chunk_digest(image[y : y + CHUNK, x : x + CHUNK])
        for y in range(0, height, CHUNK)
        for x in range(0, width, CHUNK)
    )


def chunk_digest(pixels: Pixels) -> str:
    """The same of ``(height, width, 3)`` pixels of a chunk."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def joined_digest(chunks: Iterable[str]) -> str:
    """The digest of a level from those of its chunks, row by row."""
    return hashlib.sha256("".join(chunks).encode()).hexdigest()


def checked_record(path: Path) -> Record:
    """The record of an image whose structure and pixels are those that it names.

    Raises
    ------
    SlideError
        If the image cannot be read, or it is not what its record says.
    """
    with open_slide(path, icc=False, cache=TileCache(_CACHE_BYTES)) as slide:
        try:
            record = Record.model_validate(record_of(slide.properties))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "all"
            raise SlideError(
                f"Image {path.name!r} has no record that it can be checked by ({field}: "
                f"{first['msg']})."
            ) from error
        sizes = level_sizes(Size(*record.output_size))
        levels = [level.size for level in slide.levels]
        if slide.format == "png":  # it stores one, and the others are made as it is opened
            sizes, levels = sizes[:1], levels[:1]
        if levels != sizes or len(record.pixels_sha256) != len(sizes):
            raise SlideError(f"Image {path.name!r} has not the levels that its record names.")
        stored: Sequence[Image] = [_Level(slide, number) for number in range(len(sizes))]
        if slide.format == "dicom":
            stored = stored_levels(path)
        for number, (level, wanted) in enumerate(zip(stored, record.pixels_sha256, strict=True)):
            if level_digest(level) != wanted:
                raise SlideError(f"Level {number} of image {path.name!r} has other pixels.")
    return record


class _Level:
    def __init__(self, slide: Any, number: int) -> None:
        self._slide, self._number = slide, number
        self._size: Size = slide.levels[number].size
        self.shape = (self._size.height, self._size.width, 3)

    def __getitem__(self, place: tuple[slice, slice], /) -> Pixels:
        """The pixels of a rectangle; cut at the level's edge."""
        (y, bottom), (x, right) = ((one.start, one.stop) for one in place)
        width, height = min(right, self._size.width) - x, min(bottom, self._size.height) - y
        pixels: Pixels = self._slide.read_level(self._number, x, y, width, height)
        return pixels


def sidecar_path(path: Path) -> Path:
    """``out.png.json`` for ``out.png``: two exports of one name do not share it."""
    return path.with_name(f"{path.name}.json")


def is_sidecar(path: Path) -> bool:
    """Whether a file is such a record, which may be replaced by a newer one."""
    try:
        record = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.keys() >= {"badge_on_pixels", "versions"}


def sidecar_says(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether the file beside the image at ``path`` is that record."""
    try:
        return bool(json.loads(read_file(sidecar_path(path))) == record)
    except (OSError, ValueError, RecursionError):
        return False


def write_sidecar(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record of the image at ``path`` once more, for people and scripts.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        with written_whole(sidecar_path(path)) as partial:
            partial.write_text(f"{text}\n", encoding="utf-8")
    except OutputError as error:
        raise OutputError(f"{error} The image itself is whole and holds its record.") from error


def _finite(value: Any) -> Any:
    """JSON has no infinity: the PSNR of equal images becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a source tree
            continue
    return found
