"""Small files that ask for gigabytes: what the command line makes of them, in memory and time.

``python tools/bombs.py [NAME …]`` prints for ``info``, and for ``enhance`` of 256 × 256 pixels, the
exit code, the most memory that the process took, its seconds and its last line.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

MOST_BYTES = 1_200_000_000
MOST_SECONDS = 5.0
_LOOK_S = 0.01
_MODEL = "cwtnet-lite-x2"
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323


@dataclass(frozen=True, slots=True)
class Measured:
    """What one command took.

    Parameters
    ----------
    code : int
        Its exit code.
    nbytes : int
        Most memory that was resident.
    seconds : float
        Of the processor.
    text : str
        What it said on stderr.
    """

    code: int
    nbytes: int
    seconds: float
    text: str


def measure(*words: object, **environment: str) -> Measured:
    """Run ``napari-cwtnet`` with the given words in a process of its own."""
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "napari_cwtnet.cli", *map(str, words)],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | environment,
        )
        pid, peak = 0, 0
        while pid == 0:
            peak = max(peak, _peak_bytes(child.pid))
            time.sleep(_LOOK_S)
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        child.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        text = errors.read()
    return Measured(
        child.returncode,
        peak,
        usage.ru_utime + usage.ru_stime,
        text.decode(errors="replace"),
    )


def _peak_bytes(pid: int) -> int:
    """Most memory that a process has had so far; 0 where that cannot be known.

    Not what `wait4` says: that counts this process's own memory, as of the fork.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return 1024 * int(next(found, "0"))


def tiff(path: Path, segment: bytes, shape: tuple[int, int, int], **options: Any) -> Path:
    """A TIFF of one encoded tile or strip, which states to be of another shape.

    Parameters
    ----------
    path : Path
        Of the file.
    segment : bytes
        The tile or strip as it lies in the file.
    shape : (int, int, int)
        Height, width and samples of a pixel that the file states.
    options : dict
        ``compression``, ``bits``, ``tile`` (height, width) and ``subifds`` (how many).
    """
    height, width, samples = shape
    bits, tile = options.get("bits", 8), options.get("tile")
    entries: list[tuple[int, int, int, int]] = [
        (_WIDTH, 4, 1, width), (_HEIGHT, 4, 1, height), (258, 3, 1, bits),
        (259, 3, 1, options.get("compression", 8)), (262, 3, 1, 2), (277, 3, 1, samples),
    ]  # fmt: skip
    if tile is None:
        entries += [(273, 4, 1, 8), (278, 4, 1, height), (279, 4, 1, len(segment))]
    else:
        entries += [(_TILE_WIDTH, 4, 1, tile[1]), (_TILE_HEIGHT, 4, 1, tile[0])]
        entries += [(324, 4, 1, 8), (325, 4, 1, len(segment))]
    if samples > 3:
        entries.append((338, 3, 1, 2))
    directory = 8 + len(segment) + len(segment) % 2
    body = struct.pack("<H", len(entries))
    for tag, kind, count, value in sorted(entries):
        body += struct.pack("<HHI", tag, kind, count)
        body += struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value)
    content = b"II*\0" + struct.pack("<I", directory) + segment + b"\0" * (len(segment) % 2)
    path.write_bytes(content + body + struct.pack("<I", 0))
    return path


def nothing(nbytes: int) -> bytes:
    """Zeros by deflate, in a thousandth of their bytes."""
    packer = zlib.compressobj(9)
    steps = (min(2**24, nbytes - start) for start in range(0, nbytes, 2**24))
    return b"".join([*(packer.compress(bytes(step)) for step in steps), packer.flush()])


def strip(folder: Path) -> Path:
    """One strip of 40000 × 40000 RGB pixels."""
    return tiff(folder / "strip.tif", nothing(2**22), (40_000, 40_000, 3))


def deep_tile(folder: Path) -> Path:
    """One tile of 8192 × 8192 pixels of RGBA by 16 bits."""
    shape, options = (8192, 8192, 4), {"bits": 16, "tile": (8192, 8192)}
    return tiff(folder / "tile.tif", nothing(8 * 8192**2), shape, **options)


def jpeg2000(folder: Path) -> Path:
    """A JPEG 2000 picture of 12000 × 12000 pixels where a tile of 256 × 256 belongs."""
    picture = bytearray(imagecodecs.jpeg2k_encode(np.zeros((256, 256, 3), np.uint8), level=1))
    start = picture.index(b"\xff\x4f\xff\x51") + 8
    for at in (start, start + 16):  # the picture, and its only tile
        struct.pack_into(">II", picture, at, 12_000, 12_000)
    options = {"compression": 33005, "tile": (256, 256)}
    return tiff(folder / "jpeg2000.tif", bytes(picture), (256, 256, 3), **options)


def planes(folder: Path) -> Path:
    """An OME-TIFF of one plane that states four hundred million."""
    path = folder / "planes.ome.tif"
    image = np.zeros((256, 256, 3), np.uint8)
    tifffile.imwrite(path, image, photometric="rgb", ome=True, metadata={"axes": "YXS"})
    with tifffile.TiffFile(path) as file:
        (tag,) = (one for one in file.pages.first.tags if one.code == 270)
        text = str(tag.value)
    xml = text.replace('SizeZ="1"', 'SizeZ="400000000"')
    tifffile.imwrite(path, image, photometric="rgb", description=xml, metadata=None)
    return path


def png(folder: Path) -> Path:
    """A PNG of 11500 × 11500 pixels, which may be opened."""
    side = 11_500
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
        (b"IDAT", nothing((3 * side + 1) * side)),
        (b"IEND", b""),
    )
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in parts:
        content += struct.pack(">I", len(data)) + kind + data
        content += struct.pack(">I", zlib.crc32(kind + data))
    path = folder / "bomb.png"
    path.write_bytes(content)
    return path


def _zarr(folder: Path, codec: dict[str, Any], chunk: bytes, side: int = 256) -> Path:
    path = folder / f"{codec['id']}{side}.zarr"
    (path / "0").mkdir(parents=True)
    axes = [{"name": axis} for axis in "cyx"]
    attributes = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]}
    array = {
        "zarr_format": 2, "shape": [3, side, side], "chunks": [3, side, side], "dtype": "|u1",
        "compressor": codec, "fill_value": 0, "order": "C", "filters": None,
    }  # fmt: skip
    for name, content in ((".zgroup", {"zarr_format": 2}), (".zattrs", attributes)):
        (path / name).write_text(json.dumps(content), encoding="utf-8")
    (path / "0" / ".zarray").write_text(json.dumps(array), encoding="utf-8")
    (path / "0" / "0.0.0").write_bytes(chunk)
    return path


def zarr_zlib(folder: Path) -> Path:
    """A Zarr whose chunk by zlib is of three gigabytes where 200 kB belong."""
    return _zarr(folder, {"id": "zlib", "level": 1}, nothing(3 * 10**9))


def zarr_zstd(folder: Path) -> Path:
    """The same by Zstandard, in blocks that repeat a byte."""
    size, block = 3 * 10**9, 2**17
    frame = bytearray(b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little"))
    for start in range(0, size, block):
        length = min(block, size - start)
        last = start + length == size
        frame += (last | 1 << 1 | length << 3).to_bytes(3, "little") + b"\0"
    return _zarr(folder, {"id": "zstd", "level": 1}, bytes(frame))


def zarr_chunk(folder: Path) -> Path:
    """A Zarr of one chunk of 30000 × 30000 pixels."""
    return _zarr(folder, {"id": "zlib", "level": 1}, nothing(2**20), side=30_000)


def missing_tile(folder: Path) -> Path:
    """A pyramid whose second level leaves out its only tile, of all of level 0."""
    path = folder / "missing.tif"
    white = np.full((256, 256, 3), 255, np.uint8)
    with tifffile.TiffWriter(path) as writer:
        options: dict[str, Any] = {"photometric": "rgb", "metadata": None, "compression": "zlib"}
        writer.write(white, tile=(256, 256), **options)
        writer.write(white[:128, :128], tile=(128, 128), subfiletype=1, **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        for page, side in zip(file.pages, (32_768, 1024), strict=True):
            for tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT):
                if page.index == 1 or tag in (_WIDTH, _HEIGHT):
                    page.aspage().tags[tag].overwrite(side)
        file.pages[1].aspage().tags[325].overwrite(0)
    return path


def weights(folder: Path) -> Path:
    """A weights file of three gigabytes that is no model."""
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": [750_000_000], "data_offsets": [0, 3 * 10**9]}}
    )
    path = folder / "large.safetensors"
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header.encode())
        file.truncate(8 + len(header) + 3 * 10**9)
    return path


BOMBS: dict[str, Callable[[Path], Path]] = {
    made.__name__: made
    for made in (
        strip, deep_tile, jpeg2000, planes, png, zarr_zlib, zarr_zstd, zarr_chunk, missing_tile,
    )
}  # fmt: skip
"""Slides, by name."""


def make(name: str, folder: Path) -> Path:
    """One of `BOMBS`, made by another process: what this one takes would count for its children."""
    command = [sys.executable, __file__, "--make", name, str(folder)]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def main() -> int:
    """Measure those that are named, or all."""
    if sys.argv[1:2] == ["--make"]:
        print(BOMBS[sys.argv[2]](Path(sys.argv[3])))
        return 0
    chosen, far = sys.argv[1:] or [*BOMBS, "weights"], 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = folder / "sound.tif"
        tifffile.imwrite(
            sound, np.zeros((512, 512, 3), np.uint8), photometric="rgb", tile=(256, 256)
        )
        for bomb in chosen:
            path = weights(folder) if bomb == "weights" else make(bomb, folder)
            words: list[Any] = ["enhance", sound if bomb == "weights" else path]
            words += ["--region", "0,0,256,256", "--model", path if bomb == "weights" else _MODEL]
            words += ["--output", folder / "out.png"]
            for command in ([] if bomb == "weights" else [["info", path]]) + [words]:
                found = measure(*command)
                far += found.nbytes > MOST_BYTES
                last = (found.text.strip().splitlines() or [""])[-1]
                print(
                    f"{bomb:13} {command[0]:8} exit {found.code}  {found.nbytes / 1e6:5.0f} MB  "
                    f"{found.seconds:4.1f} s  {last[:150]}",
                    flush=True,
                )
    return int(far > 0)


if __name__ == "__main__":
    sys.exit(main())
