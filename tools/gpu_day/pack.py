"""Training images in one file that is small enough to travel, and back into a folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
from PIL import Image

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.files import written_whole
from napari_cwtnet.slides import sample_slide
from napari_cwtnet.training.fields import shrink, source_files
from napari_cwtnet.training.recipe import ImageSource

MIB = 2**20


def pack(sources: Sequence[ImageSource], root: Path, target: Path, most: int) -> dict[str, str]:
    """Write images of every source into a tar file: those held out, then as many as there is room.

    Sources share the room by their weights; what one of them leaves is for the next. Images go in
    as they are used (halved where the source says so), as JPEG where they are JPEG and used whole,
    else as lossless WebP. Images that are kept for figures stay out.

    Parameters
    ----------
    sources : sequence of ImageSource
        Of a shipped recipe.
    root : Path
        Folder that theirs are relative to.
    target : Path
        The tar file.
    most : int
        Bytes that it may take.

    Returns
    -------
    dict
        Images packed, of how many, and MiB, by source.

    Raises
    ------
    TrainingError
        If a source has no image, or the first images of each do not fit.
    """
    report: dict[str, str] = {}
    room = float(most)
    with written_whole(target) as partial, tarfile.open(partial, "w") as archive:
        sample = sample_slide()
        archive.add(sample, f"sample/{sample.name}")
        room -= sample.stat().st_size
        weights = sum(source.weight for source in sources)
        files = {
            source: [source_files(source, root, held_out=part) for part in (True, False)]
            for source in sources
        }
        for source in sorted(sources, key=lambda each: len(files[each][1])):  # few are large ones
            share = room * source.weight / weights
            weights -= source.weight
            held_out, training = files[source]
            taken, used = 0, 0
            for path in (*held_out, *_spread(training)):
                name, content = _packed(path, source)
                size = len(content) + 2 * tarfile.BLOCKSIZE
                if used + size > share and taken > len(held_out):
                    break
                used, taken = used + size, taken + 1
                entry = tarfile.TarInfo(f"{source.folder}/{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            room -= used
            count = len(held_out) + len(training)
            report[source.name] = f"{taken} of {count}, {used / MIB:.1f} MiB"
    if target.stat().st_size > most:
        size = target.stat().st_size
        target.unlink()
        raise TrainingError(
            f"The first images of each source take {size / MIB:.1f} MiB, and {most / MIB:.1f} are "
            "allowed; raise --pack-size."
        )
    return report


def unpack(archive: Path, folder: Path, pool: Executor) -> None:
    """Write the images of a packed file into a folder, as JPEG or plain TIFF; twice is once.

    Raises
    ------
    TrainingError
        If the file is missing or cannot be read.
    """
    done = folder / ".whole"
    if done.exists():
        return
    writing = []
    try:
        with tarfile.open(archive) as opened:
            for entry in opened:
                content = opened.extractfile(entry)
                if content is not None:
                    writing.append(pool.submit(_write, folder / entry.name, content.read()))
    except (OSError, tarfile.TarError) as error:
        raise TrainingError(
            f"Packed images {archive} cannot be read: {error}; make them with --pack."
        ) from error
    for each in writing:
        each.result()
    done.touch()


def used_whole(sources: Sequence[ImageSource]) -> tuple[ImageSource, ...]:
    """The sources of packed images: halved ones are halved already."""
    return tuple(source.model_copy(update={"halvings": 0}) for source in sources)


def _spread(files: Sequence[Path]) -> Iterator[Path]:
    """First ones far apart, then those between: any number from the front covers the whole."""
    bits = max(1, (len(files) - 1).bit_length())
    for number in range(2**bits):
        place = int(f"{number:0{bits}b}"[::-1], 2)
        if place < len(files):
            yield files[place]


def _packed(path: Path, source: ImageSource) -> tuple[str, bytes]:
    if not source.halvings and path.suffix.lower() in (".jpg", ".jpeg"):
        return path.name, path.read_bytes()
    with Image.open(path) as picture:
        pixels = shrink(np.asarray(picture.convert("RGB")), 2**source.halvings)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True, method=4, quality=60)
    return f"{path.stem}.webp", stream.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".webp":
        path.write_bytes(content)
        return
    with Image.open(io.BytesIO(content)) as picture:
        picture.convert("RGB").save(path.with_suffix(".tif"))
