"""Spoilt headers of slides and models: opened or refused in one line, never anything else."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from napari_cwtnet.errors import SlideError
from napari_cwtnet.slides import open_slide

TOOLS = Path(__file__).parents[2] / "tools"
NDPI = "slides/stritt_ndpi/test3-DAPI-2-387.ndpi"
CASES = 300
FOUND = {
    "tiff": (2156, 3864, 5376, 5460, 5544, 5992, 6272, 6664),
    "big-endian": (3389, 8765, 9577),
    "strips": (618, 3586, 5238),
    "ome": (256, 788, 1516, 2804, 6808, 9216),
    "png": (3618,),
    "model": (318, 626, 1746, 2166, 2306, 3566, 4350, 4602, 5050, 5274, 5862, 6926, 7094, 208032),
}
"""Seeds that once ended in another exception than a refusal."""


@pytest.fixture(scope="module")
def tool() -> Any:
    """The module of the tool; needs what tells how much memory a process has."""
    pytest.importorskip("resource", reason="needs a POSIX system")
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    sys.path.insert(0, str(TOOLS))
    try:
        import fuzz_headers

        yield fuzz_headers
    finally:
        sys.path.remove(str(TOOLS))


def bad(verdicts: Any) -> list[Any]:
    return [one for one in verdicts if one.kind not in ("opened", "refused")]


def test_spoilt_headers(tool: ModuleType) -> None:
    """Some of each kind; the tool itself does thousands."""
    known = tool.bases()
    verdicts = list(tool.judge((known[seed % len(known)], seed) for seed in range(CASES)))
    assert not bad(verdicts)
    kinds = [one.kind for one in verdicts]
    assert len(kinds) == CASES
    assert kinds.count("opened") > CASES // 10  # else the files are no slides even unspoilt
    assert kinds.count("refused") > CASES // 4


def test_what_was_found_before(tool: ModuleType) -> None:
    known = {base.name: base for base in tool.bases()}
    cases = [(known[name], seed) for name, seeds in FOUND.items() for seed in seeds]
    assert not bad(tool.judge(cases))


def test_a_stall_a_crash_and_a_strange_exception_are_seen(tool: ModuleType, tmp_path: Path) -> None:
    """What the tool says of programs that do so."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, time\n"
        "print('ready', flush=True)\n"
        "for line in sys.stdin:\n"
        "    time.sleep(60) if 'slow' in line else os.abort()\n"
    )
    watched = tool.Watched(tmp_path, tmp_path / "errors.log", [sys.executable, str(program)], 0.5)
    try:
        assert watched.open("slow")[0] == "slow"
        watched._seconds = 60  # to crash may take a moment, too
        assert watched.open("crash")[:2] == ("crashed", "exit -6: ")
    finally:
        watched.close()


def test_a_tile_larger_than_its_file_never_reaches_openslide(
    tool: ModuleType, tmp_path: Path
) -> None:
    """OpenSlide would ask for as much memory, and end the process where there is none."""
    known = {base.name: base for base in tool.bases()}
    content = bytearray(known["aperio"].content)
    counts = entry(content, 325)
    (place,) = struct.unpack_from("<I", content, counts + 8)
    struct.pack_into("<H", content, place, 0xFFFF)
    path = tmp_path / "a.svs"
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"needs at least 65535; copy the file again"):
        open_slide(path)


@pytest.mark.parametrize("tag", [322, 323])
@pytest.mark.parametrize("name", ["aperio", "tiff"])
def test_tiles_that_no_memory_holds_are_refused(
    tool: ModuleType, tmp_path: Path, name: str, tag: int
) -> None:
    """OpenSlide would ask for 225 GB as soon as the file is opened."""
    known = {base.name: base for base in tool.bases()}
    content = bytearray(known[name].content)
    place = entry(content, tag)
    struct.pack_into("<H", content, place + 2, 4)
    struct.pack_into("<I", content, place + 8, 1761808486)
    path = tmp_path / f"a{known[name].suffix}"
    path.write_bytes(content)
    with pytest.raises(
        SlideError, match=r"to decode a tile of .*1761808486.* pixels, more than 537"
    ):
        open_slide(path)


def test_levels_of_no_one_image_never_reach_openslide(tool: ModuleType, tmp_path: Path) -> None:
    """OpenSlide would divide by zero, which ends the process."""
    known = {base.name: base for base in tool.bases()}
    path = tmp_path / "a.svs"
    path.write_bytes(tool.case(known["aperio"], 111967))
    with pytest.raises(SlideError, match=r"144 × 26126, 34507 × 48 pixels are not of one image"):
        open_slide(path)


def test_an_image_beyond_all_sense_never_reaches_openslide(data_dir: Any, tmp_path: Path) -> None:
    content = bytearray((data_dir / NDPI).read_bytes())
    struct.pack_into("<I", content, entry(content, 257) + 8, 2**31 - 1)
    path = tmp_path / "a.ndpi"
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"^Slide 'a\.ndpi' is damaged: it states an image of"):
        open_slide(path)


def entry(content: bytes | bytearray, tag: int) -> int:
    """Where the first directory of a little-endian TIFF file has a tag."""
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    places = [start + 2 + 12 * index for index in range(count)]
    return next(at for at in places if struct.unpack_from("<H", content, at)[0] == tag)
