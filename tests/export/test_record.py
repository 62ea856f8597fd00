"""What a computed image says of itself is found whatever its words, and is checked against it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from napari_cwtnet.errors import OutputError, SlideError
from napari_cwtnet.export import check_output, export_image
from napari_cwtnet.export.record import checked_record, level_digest, sidecar_path
from napari_cwtnet.slides import open_slide

FORMATS = ("out.png", "out.ome.tif", "out.ome.zarr")
BADGE = 'COMPUTED ×2 · downsample 0.5 · a>b & "c" · research use only'
RECORD = {"computed": True, "badge": BADGE, "model": "a>b", "slide_fingerprint": "00ff"}


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (700, 1300, 3), np.uint8)


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_of_any_name_makes_a_computed_image(tmp_path: Path, name: str) -> None:
    known = RECORD | {"model": "true", "badge": BADGE}
    export_image(tmp_path / name, pixels(), known, 0.25, figures={"psnr": np.inf, "ssim": 1.0})
    with open_slide(tmp_path / name) as slide:
        assert slide.computed == BADGE
        assert slide.computed_from == "00ff"
    record = checked_record(tmp_path / name).model_dump(mode="json", exclude_unset=True)
    assert record.items() >= known.items()  # a name that looks like JSON is a name
    assert record["quality"] == {"psnr": None, "ssim": 1.0}
    assert record == json.loads(sidecar_path(tmp_path / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("said", ["false", "1", '"true"'])
def test_what_says_that_it_is_not_computed_is_not(tmp_path: Path, said: str) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("Title", BADGE.replace(">", ""))
    notes.add_itxt("Comment", f'{{"computed": {said}}}')
    Image.fromarray(pixels()).save(tmp_path / "a.png", pnginfo=notes)
    with open_slide(tmp_path / "a.png") as slide:
        assert slide.computed is None


@pytest.mark.parametrize("comment", [None, "", "[" * 100_000, '{"model": "a"}'])
def test_a_file_that_kept_its_title_alone_is_still_known(
    tmp_path: Path, comment: str | None
) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("Title", "COMPUTED ×2 · downsample 0.5 · a · research use only")
    if comment is not None:
        notes.add_itxt("Comment", comment)
    Image.fromarray(pixels()).save(tmp_path / "a.png", pnginfo=notes)
    with open_slide(tmp_path / "a.png") as slide:
        assert slide.computed == "COMPUTED ×2 · downsample 0.5 · a · research use only"


def cut_chunk(path: Path) -> None:
    chunk = path / "0/c/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:100])


def swap_chunk(path: Path) -> None:
    export_image(path.with_name("other.ome.zarr"), pixels(1), RECORD, 0.25)
    shutil.copy(path.with_name("other.ome.zarr") / "0/c/0/0/0", path / "0/c/0/0/0")


def drop_level(path: Path) -> None:
    group = json.loads((path / "zarr.json").read_text())
    group["attributes"]["ome"]["multiscales"][0]["datasets"].pop()
    (path / "zarr.json").write_text(json.dumps(group))


def without_digests(path: Path) -> None:
    group = json.loads((path / "zarr.json").read_text())
    del group["attributes"]["napari_cwtnet"]["pixels_sha256"]
    (path / "zarr.json").write_text(json.dumps(group))


ZARR_DAMAGE: dict[str, Callable[[Path], None]] = {
    "cannot be read at tile": cut_chunk,
    "cannot be read at tile 1,0": lambda path: (path / "0/c/0/0/1").unlink(),
    "not an OME-Zarr image that can be read": lambda path: shutil.rmtree(path / "1"),
    "Level 0 of image 'out.ome.zarr' has other pixels": swap_chunk,
    "has not the levels that its record names": drop_level,
    r"no record that it can be checked by \(pixels_sha256: ": without_digests,
}
TIFF_DAMAGE: dict[str, Callable[[Path], None]] = {
    "": lambda path: path.write_bytes(b"I"),
    " ": lambda path: path.write_bytes(path.read_bytes()[: -(10**6)]),
    "other pixels": lambda path: path.write_bytes(_flipped(path.read_bytes())),
}


def _flipped(content: bytes) -> bytes:
    """Uncompressed bytes at the end of a deflate stream of noise are stored as they are."""
    place = len(content) // 3
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("said", ZARR_DAMAGE)
def test_a_zarr_that_was_damaged_is_not_whole(tmp_path: Path, said: str) -> None:
    path = tmp_path / "out.ome.zarr"
    export_image(path, pixels(), RECORD, 0.25)
    ZARR_DAMAGE[said](path)
    with pytest.raises(SlideError, match=said):
        checked_record(path)


@pytest.mark.parametrize("said", TIFF_DAMAGE)
def test_a_tiff_that_was_damaged_is_not_whole(tmp_path: Path, said: str) -> None:
    path = tmp_path / "out.ome.tif"
    export_image(path, pixels(), RECORD, 0.25)
    TIFF_DAMAGE[said](path)
    with pytest.raises(SlideError):
        checked_record(path)


def test_black_is_written_and_a_missing_chunk_is_no_black(tmp_path: Path) -> None:
    path, black = tmp_path / "out.ome.zarr", np.zeros((64, 1100, 3), np.uint8)
    export_image(path, black, RECORD, 0.25)
    assert checked_record(path).pixels_sha256[0] == level_digest(black)
    (path / "0/c/0/0/1").unlink()
    with open_slide(path) as slide:
        assert not slide.read_level(0, 0, 0, 1000, 64).any()
        with pytest.raises(SlideError, match=r"cannot be read at tile 1,0 .*No such file"):
            slide.read_level(0, 1020, 0, 10, 10)


@pytest.mark.parametrize("inside", ["0/thesis.txt", "0/c/0/0/thesis", "notes/a", "0/c/0/0/0.txt"])
def test_a_zarr_with_a_stranger_s_file_at_any_depth_is_not_replaced(
    tmp_path: Path, inside: str
) -> None:
    path = tmp_path / "out.ome.zarr"
    export_image(path, pixels(), RECORD, 0.25)
    (path / ".DS_Store").write_bytes(b"of the system")
    check_output(path)
    (path / inside).parent.mkdir(exist_ok=True)
    (path / inside).write_text("years of work")
    with pytest.raises(OutputError, match="holds more than an image that this program wrote"):
        export_image(path, pixels(), RECORD, 0.25)
    assert (path / inside).read_text() == "years of work"
