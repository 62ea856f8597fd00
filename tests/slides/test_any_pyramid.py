"""Any pyramid that can be written is read as numpy wrote it, or refused."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import open_slide
from slides.test_pyramids import picture

PICTURE = picture(420, 330)
TO_LAB: Any = ImageCms.buildTransform(
    ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
)
_WORST_OF_JPEG = 6
EXAMPLES = int(os.environ.get("CWTNET_PYRAMIDS", "40"))
FEW = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES == 40, print_blob=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
TURNS: dict[int, Any] = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90,
}  # fmt: skip


def shrunk(image: np.ndarray, factor: float) -> np.ndarray:
    size = (round(image.shape[1] / factor), round(image.shape[0] / factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


KINDS = (
    "rgb", "planar", "grey", "white is 0", "cmyk", "icclab", "alpha", "premultiplied", "no alpha",
    "grey alpha",
)  # fmt: skip
_PHOTOMETRIC = {
    "grey": "minisblack", "grey alpha": "minisblack", "white is 0": "miniswhite",
    "cmyk": "separated", "icclab": "icclab",
}  # fmt: skip
_EXTRA = {"alpha": 2, "grey alpha": 2, "premultiplied": 1, "no alpha": 0}
"""TIFF's ExtraSamples of the channel after the colours."""
_WORST_OF_LAB = 12
"""By 8-bit steps of a* and b*, in blue."""


def samples_of(image: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples of 8 bits ``(h, w, n)`` of an RGB image, and the RGB that they mean, by numpy."""
    if kind in ("grey", "white is 0", "grey alpha"):
        image = np.dstack([image[..., 1]] * 3)
    if kind in ("grey", "white is 0"):
        return (image if kind == "grey" else 255 - image)[..., :1], image
    if kind == "cmyk":
        inks = np.dstack([255 - image, image[..., 2] // 3])
        light = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:]) / 255
        return inks, np.rint(light).astype(np.uint8)
    if kind == "icclab":
        lab = ImageCms.applyTransform(Image.fromarray(image), TO_LAB)
        return np.asarray(lab) ^ np.array([0, 128, 128], np.uint8), image
    if kind in _EXTRA:
        # Flat over wide places, so that a coarser level is the finer one's means.
        across = np.arange(image.shape[1]) * 3 // max(1, image.shape[1])
        alpha = np.broadcast_to(np.array([255, 128, 40], np.uint8)[across], image.shape[:2])
        share = alpha[..., np.newaxis] / 255
        colours = np.rint(image * share).astype(np.uint8) if kind == "premultiplied" else image
        lit = colours if kind == "premultiplied" else image * share
        seen = image if kind == "no alpha" else np.rint(lit + 255 * (1 - share)).astype(np.uint8)
        colours = colours[..., :1] if kind == "grey alpha" else colours
        return np.dstack([colours, alpha]), seen
    return image, image


SHAPES = st.tuples(
    st.integers(40, 420),
    st.integers(40, 330),
    st.lists(st.sampled_from((1.5, 2, 3, 4)), max_size=3),
)
"""Width and height of the finest image, and the steps from it to smaller ones."""


def levels(shape: tuple[int, int, list[float]]) -> list[np.ndarray]:
    """The images of a shape, finest first."""
    width, height, steps = shape
    image = np.ascontiguousarray(PICTURE[:height, :width])
    found, factor = [image], 1.0
    for step in steps:
        factor *= step
        if min(width, height) / factor >= 8:
            found.append(shrunk(image, factor))
    return found


def compare(path: Path, stored: list[np.ndarray], turn: Any, worst: int) -> None:
    """Each level that is believed is one of those stored, whole, and in its place."""
    upright = [np.asarray(turn(one)) for one in stored]
    try:
        slide = open_slide(path, icc=False)
    except SlideError as error:
        raise AssertionError(f"a sound file is refused: {error}") from error
    with slide:
        sizes = {one.shape[1::-1]: one for one in upright}
        assert slide.size == upright[0].shape[1::-1]
        for number, level in enumerate(slide.levels):
            want = sizes[tuple(level.size)].astype(int)
            got = slide.read_level(number, 0, 0, *level.size).astype(int)
            assert np.abs(got - want).max() <= worst
            # A place on level 0 and the same on this level, half a pixel of it apart at most.
            whole = slide.size.width / level.size.width
            assert abs(level.downsample - whole) * level.size.width <= max(1.0, whole)
        x, y = slide.size.width // 3, slide.size.height // 4
        got = slide.read(Region(x, y, 20, 15), 1).astype(int)
        want = upright[0][y : y + 15, x : x + 20].astype(int)
        assert np.abs(got[: want.shape[0], : want.shape[1]] - want).max() <= worst
        left_out = len(stored) - len(slide.levels)
        assert left_out <= sum("is not used" in note for note in slide.notes)


@FEW
@given(
    shape=SHAPES,
    orientation=st.integers(1, 8),
    depth=st.sampled_from(("uint8", "uint16", "uint32")),
    kind=st.sampled_from(KINDS),
    compression=st.sampled_from((None, "zlib", "lzw", "zstd", "packbits", "jpeg", "jpeg2000")),
    predictor=st.booleans(),
    tile=st.sampled_from((None, (16, 16), (64, 32), (128, 128))),
    rows=st.sampled_from((1, 7, 64, 4096)),
    structure=st.sampled_from(("subifds", "pages", "backwards", "ome")),
    big=st.booleans(),
    byteorder=st.sampled_from("<>"),
)
def test_tiff(
    shape: tuple[int, int, list[float]], orientation: int, depth: str, kind: str,
    compression: str | None, predictor: bool, tile: tuple[int, int] | None, rows: int,
    structure: str, big: bool, byteorder: str,
) -> None:  # fmt: skip
    if kind == "icclab":
        depth = "uint8"
    if compression in ("jpeg", "jpeg2000"):
        depth = "uint8"
        if kind not in ("rgb", "planar", "grey", "white is 0"):
            compression = "zlib"
    made = [samples_of(one, kind) for one in levels(shape)]
    stored = [seen for _, seen in made]
    step = {"uint8": 1, "uint16": 257, "uint32": 16843009}[depth]
    options: dict[str, Any] = {
        "photometric": _PHOTOMETRIC.get(kind, "rgb"),
        **({"extrasamples": [_EXTRA[kind]]} if kind in _EXTRA else {}),
        "compression": compression,
        "extratags": [(274, "H", 1, orientation, True)],
        **({"tile": tile} if tile else {"rowsperstrip": rows}),
        **({"predictor": True} if predictor and compression in ("zlib", "lzw", "zstd") else {}),
        **({"planarconfig": "separate"} if kind == "planar" else {}),
        **({"compressionargs": {"level": 100}} if compression == "jpeg" else {}),
        **({"subsampling": (1, 1)} if compression == "jpeg" and kind == "rgb" else {}),
        **({"compressionargs": {"level": 0}} if compression == "jpeg2000" else {}),
    }
    written = []
    for samples, _ in made:
        one = samples.astype(depth) * np.array(step, depth)
        if kind == "planar":
            one = np.ascontiguousarray(one.transpose(2, 0, 1))
        written.append(one if one.shape[-1] != 1 or kind == "planar" else one[..., 0])
    with tempfile.TemporaryDirectory() as folder:
        ome = structure == "ome"
        path = Path(folder) / ("a.ome.tif" if ome else "a.tif")
        with tifffile.TiffWriter(path, bigtiff=big, byteorder=byteorder, ome=ome) as writer:
            if structure in ("subifds", "ome"):
                meta = (
                    {"axes": "SYX" if kind == "planar" else "YXS" if written[0].ndim == 3 else "YX"}
                    if ome
                    else None
                )
                writer.write(written[0], subifds=len(written) - 1, metadata=meta, **options)
                for one in written[1:]:
                    writer.write(one, subfiletype=1, metadata=None, **options)
            else:
                pages = list(enumerate(written))
                for number, one in pages[::-1] if structure == "backwards" else pages:
                    writer.write(one, subfiletype=int(number > 0), metadata=None, **options)
        worst = {"icclab": _WORST_OF_LAB}.get(kind, _WORST_OF_JPEG if compression == "jpeg" else 1)
        compare(path, stored, TURNS[orientation], worst)


@FEW
@given(
    shape=SHAPES,
    version=st.sampled_from((2, 3)),
    axes=st.permutations("cyx").map("".join),
    extra=st.sampled_from(("", "t", "tz", "z")),
    depth=st.sampled_from(("uint8", "uint16", ">u2")),
    chunk=st.tuples(st.integers(1, 3), st.integers(16, 300), st.integers(16, 300)),
    compressor=st.sampled_from((None, "zlib", "zstd", "blosc", "default")),
    sharded=st.booleans(),
)
def test_zarr(
    shape: tuple[int, int, list[float]], version: int, axes: str, extra: str, depth: str,
    chunk: tuple[int, int, int], compressor: str | None, sharded: bool,
) -> None:  # fmt: skip
    import numcodecs
    from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

    compressors = {
        2: {"zlib": numcodecs.Zlib(), "zstd": numcodecs.Zstd(), "blosc": numcodecs.Blosc()},
        3: {"zlib": GzipCodec(), "zstd": ZstdCodec(), "blosc": BloscCodec()},
    }[version]
    stored = levels(shape)
    sides = dict(zip("cyx", chunk, strict=True))
    options: dict[str, Any] = {"dtype": depth}
    if compressor != "default":
        options["compressors"] = compressors.get(compressor or "", None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.ome.zarr"
        group = zarr.open_group(str(path), mode="w", zarr_format=version)
        datasets = []
        for number, one in enumerate(stored):
            samples = one.astype(depth) * (1 if depth == "uint8" else 257)
            samples = samples.transpose(["yxc".index(axis) for axis in axes])
            samples = samples.reshape((1,) * len(extra) + samples.shape)
            chunks = (1,) * len(extra) + tuple(sides[axis] for axis in axes)
            shards = (
                {"shards": tuple(2 * side for side in chunks)} if sharded and version == 3 else {}
            )
            array = group.create_array(
                str(number), shape=samples.shape, chunks=chunks, **shards, **options
            )
            array[...] = samples
            datasets.append({"path": str(number)})
        image = {"axes": [{"name": one} for one in extra + axes], "datasets": datasets}
        content = {"version": "0.4" if version == 2 else "0.5", "multiscales": [image]}
        group.attrs.update(content if version == 2 else {"ome": content})
        compare(path, stored, TURNS[1], 1)
