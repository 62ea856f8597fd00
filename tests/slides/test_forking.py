"""Forked workers read what the parent reads, though all of them inherit its open files."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_cwtnet.errors import SlideError
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.slides.backend import TileCache
from slides.pattern import write_ome
from slides.test_meaning import write_zarr
from slides.test_pyramids import box, picture, write

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]

FINEST = picture(1536, 1152)
PLACES = [(x, y, level) for level in (0, 1) for y in range(0, 500, 70) for x in range(0, 600, 99)]


def write_scn(path: Path) -> Path:
    """A Leica SCN, which OpenSlide reads for us."""
    uuid = "urn:uuid:00000000-0000-0000-0000-00000000000"
    images = ""
    for number, (name, sizes, objective) in enumerate(
        (("macro", [(500, 400, 0)], 0.6), ("main", [(1536, 1152, 1), (768, 576, 2)], 20))
    ):
        levels = "".join(
            f'<dimension sizeX="{w}" sizeY="{h}" r="{r}" ifd="{ifd}"/>'
            for r, (w, h, ifd) in enumerate(sizes)
        )
        width, height, _ = sizes[0]
        view = (5000, 4000, 0, 0) if number == 0 else (width, height, 1000, 600)
        nm = [side * 500 for side in view]
        images += (
            f'<image name="{name}" uuid="{uuid}{number + 3}"><creationDate>2020-01-01T00:00:00Z'
            f'</creationDate><device model="d" version="1"/><pixels sizeX="{width}" '
            f'sizeY="{height}">{levels}</pixels><view sizeX="{nm[0]}" sizeY="{nm[1]}" '
            f'offsetX="{nm[2]}" offsetY="{nm[3]}" spacingZ="0"/><scanSettings><objectiveSettings>'
            f"<objective>{objective}</objective></objectiveSettings><illuminationSettings>"
            "<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield"
            "</illuminationSource></illuminationSettings></scanSettings></image>"
        )
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" '
        f'uuid="{uuid}1"><collection name="c" uuid="{uuid}2" sizeX="2500000" sizeY="2000000">'
        f"<barcode>x</barcode>{images}</collection></scn>"
    )
    options = {"photometric": "rgb", "tile": (256, 256), "compression": "jpeg", "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(np.full((400, 500, 3), 220, np.uint8), description=xml, **options)
        writer.write(FINEST, **options)
        writer.write(box(FINEST, 2), **options)
    return path


def write_picture(path: Path) -> Path:
    Image.fromarray(FINEST).save(path)
    return path


def write_inks(path: Path) -> Path:
    inks = np.asarray(Image.fromarray(FINEST).convert("CMYK"))
    tifffile.imwrite(path, inks, photometric="separated", tile=(128, 128), metadata=None)
    return path


def write_zip(path: Path) -> Path:
    folder = write_zarr(path.with_suffix(".zarr"), FINEST)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path


def write_sharded(path: Path) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    datasets = []
    for number, image in enumerate((FINEST, box(FINEST, 2))):
        planes = np.ascontiguousarray(image.transpose(2, 0, 1))
        array = group.create_array(
            str(number), shape=planes.shape, chunks=(3, 128, 128), shards=(3, 512, 512),
            dtype="uint8",
        )  # fmt: skip
        array[...] = planes
        datasets.append({"path": str(number)})
    axes = [{"name": axis} for axis in "cyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return path


def write_turned(path: Path) -> Path:
    options = {"tile": (128, 128), "photometric": "rgb", "metadata": None}
    tifffile.imwrite(path, FINEST, extratags=[(274, "H", 1, 6, True)], **options)
    return path


def write_strip(path: Path) -> Path:
    tifffile.imwrite(path, FINEST, photometric="rgb", rowsperstrip=len(FINEST), metadata=None)
    return path


FORMATS: dict[str, Callable[[Path], Path]] = {
    "a.tif": lambda path: write(path, [FINEST, box(FINEST, 2)], compression="zlib"),
    "a.svs": lambda path: write(path, [FINEST, box(FINEST, 2)]),
    "a.ome.tif": write_ome,
    "a.scn": write_scn,
    "a.zarr": lambda path: write_zarr(path, FINEST),
    "a.ozx": write_zip,
    "sharded.zarr": write_sharded,
    "a.png": write_picture,
    "a.webp": write_picture,
    "turned.tif": write_turned,
    "strip.tif": write_strip,
    "a.jpg": write_picture,
    "a.bmp": write_picture,
    "jpeg.tif": lambda path: write(path, [FINEST, box(FINEST, 2)], compression="jpeg"),
    "jpeg2000.tif": lambda path: write(path, [FINEST, box(FINEST, 2)], compression="jpeg2000"),
    "cmyk.tif": write_inks,
}


def digest(slide: Slide, place: tuple[int, int, int]) -> str:
    x, y, level = place
    level = min(level, len(slide.levels) - 1)
    try:
        return hashlib.sha256(slide.read_level(level, x, y, 100, 90).tobytes()).hexdigest()
    except SlideError as error:  # a worker's error is a wrong answer
        return repr(error)


def in_workers(slide: Slide) -> list[list[str]]:
    """What each of four forked workers reads; each goes through the places from elsewhere."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def work(number: int) -> None:
        start = number * len(PLACES) // 4
        found = {place: digest(slide, place) for place in PLACES[start:] + PLACES[:start]}
        queue.put([found[place] for place in PLACES])

    workers = [context.Process(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    found = [queue.get() for _ in workers]
    for worker in workers:
        worker.join(60)
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_four_forked_workers_read_what_one_reads(tmp_path: Path, name: str) -> None:
    path = FORMATS[name](tmp_path / name)
    with open_slide(path, cache=TileCache(2**18)) as slide:
        serial = [digest(slide, place) for place in PLACES]
        for found in in_workers(slide):
            assert found == serial
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda place: digest(slide, place), PLACES)) == serial


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("cmu1_small_dicom", "dicom"),
        ("cmu1_small_svs/*.svs", "aperio"),
        ("tcga_cr7395_svs/*.svs", "aperio"),
        ("stritt_ndpi/*.ndpi", "hamamatsu"),
        ("os2_ometiff/*.tif*", "ome-tiff"),
        ("prostate_pyramid_tiff/*.tif*", "tiff"),
    ],
)
def test_real_slides(data_dir: Path, name: str, format_name: str) -> None:
    path = next(iter(sorted((data_dir / "slides").glob(name))), None)
    if path is None:
        pytest.skip(f"no {name} here")
    with open_slide(path, cache=TileCache(2**18)) as slide:
        assert slide.format == format_name
        serial = [digest(slide, place) for place in PLACES]
        assert len(set(serial)) > 1
        assert not any("SlideError" in one for one in serial)
        for found in in_workers(slide):
            assert found == serial
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda place: digest(slide, place), PLACES)) == serial


@pytest.mark.parametrize("name", ["a.tif", "a.scn", "a.zarr", "a.ozx"])
def test_a_fork_while_threads_read(tmp_path: Path, name: str) -> None:
    path = FORMATS[name](tmp_path / name)
    with open_slide(path, cache=TileCache(2**18)) as slide:
        serial = [digest(slide, place) for place in PLACES]
        done = threading.Event()

        def read_on() -> None:
            while not done.is_set():
                for place in PLACES:
                    digest(slide, place)

        readers = [threading.Thread(target=read_on) for _ in range(4)]
        for reader in readers:
            reader.start()
        try:
            for found in in_workers(slide):
                assert found == serial
        finally:
            done.set()
            for reader in readers:
                reader.join()
