"""Small slides and models, and ways to spoil their headers; the same seed spoils the same way."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

Rng = random.Random
_INTERESTING = (
    0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF,
    0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 2**53, 2**63 - 1, 2**63, 2**64 - 1,
)  # fmt: skip
_SHAPE_TAGS = (256, 257, 258, 259, 262, 273, 277, 278, 279, 322, 323, 324, 325, 330, 284, 317)
_WORDS: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 7, 64, 1e9, 1e308, 2**63, "", "x", "\0", "../x", "é" * 300, None, True, [], {},
    [[]], {"a": {}},
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Base:
    """A file to spoil, and what has to lie beside it."""

    name: str
    suffix: str
    content: bytes
    spoil: Callable[[bytes, Rng], bytes]
    beside: tuple[Path, ...] = ()


def bases(real: Path | None = None) -> list[Base]:
    """The files that are spoilt: made here, and of ``real``, a folder of slides, where given."""
    pixels = np.random.default_rng(0).integers(0, 255, (96, 144, 3)).astype(np.uint8)
    found = [
        Base("tiff", ".tif", _tiff(pixels), spoil_tiff),
        Base("big-endian", ".tif", _tiff(pixels, byteorder=">"), spoil_tiff),
        Base("strips", ".tif", _tiff(pixels, tile=None, rowsperstrip=16), spoil_tiff),
        Base("bigtiff", ".tif", _tiff(pixels, bigtiff=True, compression="zlib"), spoil_tiff),
        Base("palette", ".tif", _palette(pixels), spoil_tiff),
        Base("grey", ".tif", _grey(pixels), spoil_tiff),
        Base("ome", ".ome.tif", _ome(pixels), spoil_tiff),
        Base("aperio", ".svs", _aperio(pixels), spoil_tiff),
        Base("png", ".png", _plain(pixels, "PNG"), spoil_png),
        Base("jpeg", ".jpg", _plain(pixels, "JPEG"), spoil_jpeg),
        Base("bmp", ".bmp", _plain(pixels, "BMP"), spoil_bytes),
        Base("webp", ".webp", _plain(pixels, "WEBP"), spoil_bytes),
        Base("model", ".safetensors", _model(), spoil_safetensors),
    ]
    for path in sorted(real.rglob("*")) if real is not None else ():
        spoil = {".svs": spoil_tiff, ".ndpi": spoil_tiff, ".tif": spoil_tiff, ".tiff": spoil_tiff,
                 ".dcm": spoil_dicom}.get(path.suffix)  # fmt: skip
        if spoil is None:
            continue
        beside: tuple[Path, ...] = ()
        if path.suffix == ".dcm":  # the other files of its slide
            beside = tuple(p for p in sorted(path.parent.glob("*.dcm")) if p != path)
        found.append(Base(path.name, path.suffix, path.read_bytes(), spoil, beside))
    return found


def spoil_bytes(content: bytes, rng: Rng, upto: int = 4096) -> bytes:
    """Flip bits, cut, insert or overwrite near the beginning."""
    data, end = bytearray(content), min(len(content), upto)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(end)
        match rng.randrange(5):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                data[at:at] = rng.randbytes(rng.choice((1, 4, 300)))
            case 3:
                del data[at : at + rng.choice((1, 4, 300))]
            case 4:
                cut = at if rng.random() < 0.5 else rng.randrange(len(data) + 1)
                return bytes(data[: max(1, cut)])
        end = max(1, min(end, len(data)))
        data = data or bytearray(b"\0")
    return bytes(data)


def spoil_tiff(content: bytes, rng: Rng) -> bytes:
    """Change entries of directories and the chain that they hang in, or just bytes."""
    layout = _Layout.of(content)
    places = layout.directories(content) if layout is not None else []
    if layout is None or not places or rng.random() < 0.1:
        return spoil_bytes(content, rng)
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        start, count = rng.choice(places)
        first = start + layout.count_size
        following = first + count * layout.entry
        match rng.randrange(8):
            case 0:  # how many entries
                layout.put(data, start, rng.choice((0, 1, count - 1, count + 1, 0xFFFF)), "count")
            case 1:  # the next directory: itself, another, beyond, inside the entries
                target = rng.choice(
                    (start, rng.choice(places)[0], len(data), len(data) + 10**6, first + 3, 1)
                )
                layout.put(data, following, rng.choice((target, rng.choice(_INTERESTING))), "word")
            case 2:
                _flip(data, start, following, rng)
            case 3:
                return bytes(data[: rng.randrange(8, len(data))])
            case _:
                entries = [first + index * layout.entry for index in range(count)]
                if rng.random() < 0.6:
                    wanted = [e for e in entries if layout.get(data, e, "short") in _SHAPE_TAGS]
                    entries = wanted or entries
                _spoil_entry(data, rng.choice(entries), layout, places, rng)
    return bytes(data)


def spoil_png(content: bytes, rng: Rng) -> bytes:
    """Change a chunk and make its checksum right again, or just bytes."""
    chunks = []
    at = 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append((at, length))
        at += 12 + length
    if rng.random() < 0.3:
        return spoil_bytes(content, rng)
    data = bytearray(content)
    at, length = rng.choice([chunks[0], chunks[0], *chunks])
    if length:
        field = at + 8 + rng.randrange(0, length, 4 if length > 8 else 1)
        size = min(4, at + 8 + length - field)
        data[field : field + size] = _number(rng).to_bytes(8, "little")[:size][::-1]
        data[at + 8 + length : at + 12 + length] = struct.pack(
            ">I", zlib.crc32(data[at + 4 : at + 8 + length])
        )
    if rng.random() < 0.2:
        data[at : at + 4] = (_number(rng) & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(data)


def spoil_jpeg(content: bytes, rng: Rng) -> bytes:
    """Change the length or the head of a segment, or just bytes."""
    marks = [i for i in range(len(content) - 4) if content[i] == 0xFF and content[i + 1] >= 0xC0]
    if rng.random() < 0.3:
        return spoil_bytes(content, rng)
    data, at = bytearray(content), rng.choice(marks[:12])
    where = at + rng.choice((2, 4, 5, 7, 9))
    data[where : where + 2] = (_number(rng) & 0xFFFF).to_bytes(2, "big")
    return bytes(data)


def spoil_dicom(content: bytes, rng: Rng) -> bytes:
    """Change the length or the value of an element, or just bytes."""
    kinds = (b"US", b"UL", b"UI", b"IS", b"SQ", b"OB", b"CS", b"DS", b"LO", b"AT", b"UN", b"FL")
    head = content[: min(len(content), 16384)]
    found = [i for i in range(128, len(head) - 12) if head[i : i + 2] in kinds]
    if not found or rng.random() < 0.3:
        return spoil_bytes(content, rng)
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.choice(found)
        long = bytes(data[at : at + 2]) in (b"SQ", b"OB", b"UN")
        where, size = (at + 4, 4) if long else (at + 2, 2)
        if rng.random() < 0.6:  # the value, not its length
            where += size
            size = rng.choice((2, 4))
        value = str(_number(rng)).encode() if rng.random() < 0.3 else b""
        data[where : where + size] = (value or _number(rng).to_bytes(8, "little"))[:size]
    return bytes(data)


def spoil_safetensors(content: bytes, rng: Rng) -> bytes:
    """Change the length of the header, an entry, the config or the provenance, or just bytes."""
    end = 8 + int.from_bytes(content[:8], "little")
    kind = rng.randrange(8)
    if kind == 0:
        return spoil_bytes(content, rng, end)
    if kind == 1:
        length = rng.choice((_number(rng), end - 8 + rng.choice((-1, 1, 8)), len(content)))
        return (length % 2**64).to_bytes(8, "little") + content[8:]
    header = json.loads(content[8:end])
    metadata = header["__metadata__"]
    if kind == 2:
        depth = rng.choice((10, 1000, 100_000))
        metadata[rng.choice(("config", "provenance"))] = "[" * depth + "]" * depth
    elif kind in (3, 4):
        config = json.loads(metadata["config"])
        name = rng.choice([*config, "stranger"])
        config[name] = rng.choice((*_WORDS, 2, 4, 8, 16, 32, 64, 512, 10**6, [0.5, 0.5, 1e400]))
        metadata["config"] = json.dumps(config)
    elif kind == 5:
        provenance = json.loads(metadata["provenance"])
        names = ("reference_share", "name", "recipe")
        provenance[rng.choice(names)] = rng.choice((*_WORDS, "spoilt.safetensors"))
        metadata["provenance"] = json.dumps(provenance)
    elif kind == 6:
        metadata[rng.choice(("format", "config", "provenance"))] = rng.choice(_WORDS)
    else:
        entry = header[rng.choice([name for name in header if name != "__metadata__"])]
        field = rng.choice(("dtype", "shape", "data_offsets"))
        strange = (*_WORDS, [2**62, 4], [-1, 4], [0, 2**63], "F64", "BF16", "I8", "U8", "BOOL")
        entry[field] = rng.choice(strange)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[end:]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a TIFF file keeps what; big files have wider fields."""

    order: str
    big: bool

    @classmethod
    def of(cls, content: bytes) -> _Layout | None:
        order = {b"II": "<", b"MM": ">"}.get(content[:2])
        return None if order is None else cls(order, 43 in content[2:4])

    @property
    def count_size(self) -> int:
        return 8 if self.big else 2

    @property
    def entry(self) -> int:
        return 20 if self.big else 12

    def code(self, kind: str) -> str:
        wide = {"short": "H", "count": "Q" if self.big else "H", "word": "Q" if self.big else "I"}
        return self.order + wide[kind]

    def get(self, data: bytes | bytearray, at: int, kind: str) -> int:
        code = self.code(kind)
        if at < 0 or at + struct.calcsize(code) > len(data):
            return 0
        return int(struct.unpack_from(code, data, at)[0])

    def put(self, data: bytearray, at: int, value: int, kind: str) -> None:
        code = self.code(kind)
        if at >= 0 and at + struct.calcsize(code) <= len(data):
            struct.pack_into(code, data, at, value % 2 ** (8 * struct.calcsize(code)))

    def directories(self, content: bytes) -> list[tuple[int, int]]:
        """Place and number of entries of each directory, those inside others too."""
        waiting, found = [self.get(content, 8 if self.big else 4, "word")], {}
        while waiting:
            start = waiting.pop()
            count = self.get(content, start, "count")
            if start == 0 or start in found or count == 0:
                continue
            found[start] = count
            first = start + self.count_size
            waiting.append(self.get(content, first + count * self.entry, "word"))
            for index in range(count):
                at = first + index * self.entry
                if self.get(content, at, "short") == 330:  # one directory inside, or a list of them
                    number = self.get(content, at + 4, "word")
                    place = self.get(content, at + self.entry - (8 if self.big else 4), "word")
                    step = 8 if self.big else 4
                    inside = [place] if number == 1 else []
                    inside += [self.get(content, place + i * step, "word") for i in range(number)
                               if number > 1]  # fmt: skip
                    waiting.extend(inside)
        return sorted(found.items())


def _spoil_entry(
    data: bytearray, at: int, layout: _Layout, places: list[tuple[int, int]], rng: Rng
) -> None:
    count_at, value_at = at + 4, at + (12 if layout.big else 8)
    match rng.randrange(7):
        case 0:
            layout.put(data, at, rng.choice((*_SHAPE_TAGS, 0, 65535, 270, 347, 34675)), "short")
        case 1:
            layout.put(data, at + 2, rng.randrange(20), "short")
        case 2:
            layout.put(data, count_at, _number(rng), "word")
        case 3:  # somewhere else in the file, a directory among others
            layout.put(data, value_at, rng.choice((rng.choice(places)[0], len(data) - 1)), "word")
        case _:
            layout.put(data, value_at, _number(rng), "word")


def _flip(data: bytearray, start: int, end: int, rng: Rng) -> None:
    for _ in range(rng.choice((1, 4))):
        data[rng.randrange(start, min(end, len(data)))] ^= 1 << rng.randrange(8)


def _number(rng: Rng) -> int:
    return rng.choice(_INTERESTING) if rng.random() < 0.7 else rng.randrange(2**32)


def _tiff(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    made = {name: options.pop(name) for name in ("byteorder", "bigtiff") if name in options}
    with tifffile.TiffWriter(buffer, **made) as writer:
        for factor in (1, 2, 4):
            part = np.ascontiguousarray(pixels[::factor, ::factor])
            writer.write(part, photometric="rgb", subfiletype=int(factor > 1), metadata=None,
                         resolution=(40000, 40000), resolutionunit="CENTIMETER",
                         **({"tile": (32, 32)} | options))  # fmt: skip
    return buffer.getvalue()


def _palette(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(16).save(buffer, "TIFF")
    return buffer.getvalue()


def _grey(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    wide = pixels[..., 0].astype(np.uint16) * 16
    tifffile.imwrite(buffer, wide, photometric="minisblack", tile=(32, 32), predictor=True,
                     compression="lzw", metadata=None)  # fmt: skip
    return buffer.getvalue()


def _ome(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    with tifffile.TiffWriter(buffer, ome=True) as writer:
        writer.write(pixels, photometric="rgb", tile=(32, 32), subifds=1, metadata=metadata)
        half = np.ascontiguousarray(pixels[::2, ::2])
        writer.write(half, photometric="rgb", tile=(32, 32), subfiletype=1)
    return buffer.getvalue()


def _aperio(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    says = "Aperio Image Library v1.0\n144x96 (32x32) JPEG/RGB Q=90|AppMag = 20|MPP = 0.4990"
    with tifffile.TiffWriter(buffer) as writer:
        for factor in (1, 2):
            part = np.ascontiguousarray(pixels[::factor, ::factor])
            writer.write(part, photometric="rgb", tile=(32, 32), compression="jpeg",
                         description=says, metadata=None)  # fmt: skip
    return buffer.getvalue()


def _plain(pixels: np.ndarray[Any, Any], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def _model() -> bytes:
    import tempfile

    from napari_cwtnet.model import CwtNet, preset, save_weights

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.safetensors"
        network = CwtNet(preset("lite", 2, blocks=1, channels=8, tile=64, halo=12))
        save_weights(path, network, {"reference_share": 0.5})
        return path.read_bytes()
