"""What the headers of encoded tiles say of their codec: tables, quality, subsampling, rate."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from napari_cwtnet.slides.degradation import Compression, Subsampling

Codec = Literal["jpeg", "jpeg2000", "webp", "lossless", "lossy"]
Table = tuple[int, ...]

HEAD_BYTES = 2**16
"""Of a tile that its headers are looked for in."""

_LUMA = (
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37,
    29, 40, 58, 51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
    95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, *(99,) * 50,
)  # fmt: skip
# Annex K of ITU-T T.81, tables K.1 and K.2, in zigzag order.

_NEAR = 0.5
_DQT, _SOS, _EOI, _LOSSLESS_FRAMES = 0xDB, 0xDA, 0xD9, {0xC3, 0xC7, 0xCB, 0xCF}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD9)}
_RATIOS: dict[tuple[int, int], Subsampling] = {(1, 1): "444", (2, 1): "422", (2, 2): "420"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """Encoded tiles of one level.

    Parameters
    ----------
    codec : str
        That of the tiles; ``lossy`` is one that this package has no reader for.
    tables : bytes
        JPEG: a stream of tables that the tiles lean on; empty where they have their own.
    tiles : tuple of bytes
        The starts of some tiles that are not empty.
    rate : float, optional
        Bits per pixel of the tiles that are not blank.
    stated_quality : int, optional
        As the file's description has it, for want of tables.
    rgb : bool
        JPEG: whether the file says that components are R, G and B themselves.
    """

    codec: Codec
    tables: bytes = b""
    tiles: tuple[bytes, ...] = ()
    rate: float | None = None
    stated_quality: int | None = None
    rgb: bool = False


def compression_of(encoding: Encoding) -> Compression | None:
    """The codec as its headers describe it; None where they make no sense.

    Examples
    --------
    >>> compression_of(Encoding("jpeg2000", rate=1.5))
    >>> compression_of(Encoding("jpeg", stated_quality=70)).quality
    70
    """
    if encoding.codec == "lossless":
        return Compression("none")
    if encoding.codec == "lossy":
        return Compression("other")
    readers = {"jpeg": _jpeg, "jpeg2000": _jpeg2000, "webp": _webp}
    for tile in encoding.tiles:
        try:
            found = readers[encoding.codec](encoding, tile)
        except (IndexError, ValueError, struct.error):
            continue
        if found is not None:
            return replace(found, rgb=True) if encoding.rgb and found.kind == "jpeg" else found
    if encoding.codec == "jpeg" and encoding.stated_quality is not None:
        return Compression("jpeg", encoding.stated_quality)
    return None


def tissue_rate(sizes: Sequence[int], pixels: int) -> float | None:
    """Bits per pixel of the tiles that are not blank, which take a fraction of the others' bytes.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of each tile.
    pixels : int
        Of one tile.
    """
    ordered = sorted(size for size in sizes if size > 0)
    if not ordered or pixels < 1:
        return None
    full = ordered[int(0.95 * (len(ordered) - 1))]
    kept = [size for size in ordered if size >= full / 4]
    return 8 * sum(kept) / len(kept) / pixels


def nearest_quality(tables: Sequence[Table]) -> int | None:
    """Of the libjpeg tables nearest to those of luma and, if there are two, of chroma.

    None where no quality is within half a factor of two on average.

    Examples
    --------
    >>> nearest_quality(standard_tables(75))
    75
    """
    if not tables or any(value < 1 for table in tables for value in table):
        return None
    # Where one table serves all channels, as in RGB, it is that of luma.
    used = tables[:1] if len(set(tables)) == 1 else tables[:2]
    logs = [[math.log2(value) for value in table] for table in used]
    apart, quality = min(
        (
            sum(abs(a - b) for own, std in zip(logs, _logs(q), strict=False)
                for a, b in zip(own, std, strict=True)),
            -q,
        )
        for q in range(1, 101)
    )  # fmt: skip
    return -quality if apart <= _NEAR * 64 * len(used) else None


@cache
def standard_tables(quality: int) -> tuple[Table, Table]:
    """Tables of luma and chroma that libjpeg has for a quality of 1..100, in zigzag order."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, chroma = (
        tuple(min(255, max(1, (value * scale + 50) // 100)) for value in table)
        for table in (_LUMA, _CHROMA)
    )
    return luma, chroma


@cache
def _logs(quality: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(math.log2, table)) for table in standard_tables(quality))


def _jpeg(encoding: Encoding, tile: bytes) -> Compression | None:
    tables: dict[int, Table] = {}
    frame = b""
    for stream in (encoding.tables, tile):
        for marker, segment in _segments(stream):
            if marker == _DQT:
                tables.update(_quantisation(segment))
            elif marker in _FRAMES:
                if marker in _LOSSLESS_FRAMES:
                    return Compression("none")
                frame = segment
    if not frame:
        return None
    components = [frame[at : at + 3] for at in range(6, 6 + 3 * frame[5], 3)]
    used = tuple(tables[component[2]] for component in components[:2] if component[2] in tables)
    if any(value < 1 for table in used for value in table):
        return None
    quality = nearest_quality(used) if used else encoding.stated_quality
    if len(used) == 1:
        used *= 2
    return Compression("jpeg", quality, _subsampling(components), used)


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment before the samples."""
    at = 0
    while at + 4 <= len(stream):
        if stream[at] != 0xFF:
            raise ValueError("no marker")
        marker = stream[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (_SOS, _EOI):
            return
        (length,) = struct.unpack_from(">H", stream, at + 2)
        segment = stream[at + 4 : at + 2 + length]
        if length < 2 or len(segment) < length - 2:
            raise ValueError("cut off")
        yield marker, segment
        at += 2 + length


def _quantisation(segment: bytes) -> Iterator[tuple[int, Table]]:
    at = 0
    while at < len(segment):
        deep, number = divmod(segment[at], 16)
        values = struct.unpack_from(">64H" if deep else ">64B", segment, at + 1)
        yield number, values
        at += 129 if deep else 65


def _subsampling(components: Sequence[bytes]) -> Subsampling | None:
    """Of chroma against luma; None for greyscale and for ratios that have no name here."""
    if len(components) < 3:
        return None
    (x, y), *chroma = [divmod(component[1], 16) for component in components]
    (cx, cy) = chroma[0]
    if chroma[1] != (cx, cy) or not cx or not cy or x % cx or y % cy:
        return None
    return _RATIOS.get((x // cx, y // cy))


def _jpeg2000(encoding: Encoding, tile: bytes) -> Compression | None:
    start = tile.find(b"\xff\x4f\xff\x51")  # after the boxes of a JP2 file, if it is one
    if start < 0:
        return None
    at = start + 2
    while at + 4 <= len(tile):
        marker, length = struct.unpack_from(">HH", tile, at)
        if marker == 0xFF52:
            reversible = tile[at + 13] == 1
            return (
                Compression("none") if reversible else Compression("jpeg2000", rate=encoding.rate)
            )
        if marker == 0xFF90 or marker < 0xFF00:
            return None
        at += 2 + length
    return None


def _webp(_: Encoding, tile: bytes) -> Compression | None:
    if tile[:4] != b"RIFF" or tile[8:12] != b"WEBP":
        return None
    at = 12
    while at + 8 <= len(tile):
        kind, length = struct.unpack_from("<4sI", tile, at)
        if kind == b"VP8L":
            return Compression("none")
        if kind in (b"VP8 ", b"ANIM"):
            return Compression("other")
        at += 8 + length + length % 2
    return None
