"""``enhance --region all``: killed, interrupted, out of space, and taken up again."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from export.whole_help import files, write_model, write_slide

from cli.conftest import Run
from cli.test_refusals import refused
from napari_cwtnet import enhance, load_model, open_slide
from napari_cwtnet.export.whole_slide.work_folder import WorkFolder

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

# Imports torch once, and runs each line that it reads in a child of its own.
NURSERY = """
    import os, sys, torch
    from napari_cwtnet.cli import main
    from napari_cwtnet.cli import enhance
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(main(line.rstrip("\\n").split("\\t")))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)
"""


class Nursery:
    """Commands in processes of their own, without the seconds that torch takes to load."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert self._answer() == "ready"

    def start(self, words: list[object]) -> int:
        """Begin a command; gives its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def end(self) -> int:
        """Wait for its end; the exit code, or less the signal."""
        return os.waitstatus_to_exitcode(int(self._answer()))

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    words = [sys.executable, "-c", textwrap.dedent(NURSERY)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, text=True, **pipes) as process:
        yield Nursery(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def words(tmp_path: Path) -> list[object]:
    """Four blocks, but for the output."""
    slide = write_slide(tmp_path / "slide.tif")
    model = write_model(tmp_path, 2)
    options = {"region": "all", "downsample": 2, "model": model, "device": "cpu", "block": 1024}
    return ["enhance", slide, *(w for k, v in options.items() for w in (f"--{k}", v)), "--json"]


def lines(journal: Path) -> list[bytes]:
    return journal.read_bytes().splitlines() if journal.exists() else []


def wait_until(come: Callable[[], bool]) -> None:
    end = time.monotonic() + 100
    while not come():
        assert time.monotonic() < end
        time.sleep(0.001)


@posix
@pytest.mark.slow
def test_killed_at_every_stage(words: list[object], nursery: Nursery, tmp_path: Path) -> None:
    output = tmp_path / "out.ome.tif"
    work = WorkFolder(output)
    words += ["--output", output, "--resume"]
    stages = [
        work.image.exists,
        lambda: len(lines(work.journal)) >= 2,
        lambda: len(lines(work.journal)) >= 4,
        lambda: any(b"level" in line for line in lines(work.journal)),
        lambda: any(work.path.glob(".image.*.partial/*.tif")),
    ]
    for number, come in enumerate(stages):
        child = nursery.start(words)
        wait_until(come)
        os.kill(child, signal.SIGKILL)
        assert nursery.end() == -signal.SIGKILL
        assert not output.exists()
        assert number == 0 or work.unfinished
        if number == 1:
            shutil.copytree(work.path, tmp_path / ".once.ome.tif.partial")
    assert not any(b"lost" in line for line in lines(work.journal))
    nursery.start(words)
    assert nursery.end() == 0
    once = tmp_path / "once.ome.tif"
    nursery.start([once if word is output else word for word in words])
    assert nursery.end() == 0
    assert output.read_bytes() == once.read_bytes()
    with open_slide(words[1]) as slide:
        model = load_model(tmp_path / "random-x2.safetensors")
        whole = enhance(slide, slide.bounds, 2.0, model=model, device="cpu")
    assert np.array_equal(tifffile.imread(output), whole.image)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@posix
def test_interrupted_and_gone_on_with(
    words: list[object], nursery: Nursery, run: Run, tmp_path: Path
) -> None:
    output = tmp_path / "out.ome.zarr"
    work = WorkFolder(output)
    child = nursery.start([*words, "--output", output])
    wait_until(lambda: len(lines(work.journal)) >= 2)
    os.kill(child, signal.SIGINT)
    assert nursery.end() == 130
    assert not output.exists()
    refused(run(*words, "--output", output), "unfinished run", "--resume", work.path.name)
    said = json.loads(run(*words, "--output", output, "--resume").stdout)
    assert said["blocks"] == 4
    assert 1 <= said["resumed_blocks"] <= 4
    assert said["computed_tiles"] >= said["tiles"] > 0
    assert said["output_size"] == [1200, 1100]
    assert said["psnr"] > 5
    assert said["ssim"] is None
    assert files(output)
    assert not work.path.exists()


@posix
def test_a_disk_that_fills_up(words: list[object], run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out.ome.zarr"
    words += ["--output", output]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        done = run(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    refused(done, "out.ome.zarr", "free some space", "resume the run")
    assert not output.exists()
    assert run(*words, "--resume").returncode == 0
    assert (output / "0" / "c" / "0" / "1" / "1").stat().st_size > 1000


def test_a_disk_that_holds_more_than_it_says(
    words: list[object], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1000))
    words += ["--output", tmp_path / "out.ome.zarr", "--downsample", 8]
    refused(run(*words), "0.0 GB left", "free some space", "--no-space-check")
    assert run(*words, "--no-space-check").returncode == 0


def test_of_what_is_made_at_once_the_disk_is_not_asked_as_the_help_says(
    slide_file: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1000))
    words = ["enhance", slide_file, "--region", "0,0,64,64", "--model", "small-x2", "--output"]
    assert run(*words, tmp_path / "a.png").returncode == 0
    assert run(*words, tmp_path / "b.png", "--no-space-check").returncode == 0
    said = " ".join(run("enhance", "--help").stdout.split())
    assert "before writing block by block" in said


def test_every_choice_is_kept(words: list[object], run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out b" / "é.ome.zarr"
    output.parent.mkdir()
    chosen = {"downsample": 8, "dtype": "float16", "grid": "5,6,62,70", "reference": "next"}
    words += [word for key, value in chosen.items() for word in (f"--{key}", value)]
    words += ["--no-skip-background", "--output", output]
    assert json.loads(run(*words).stdout)["mode"] == "oracle"
    record = json.loads(output.with_name("é.ome.zarr.json").read_text(encoding="utf-8"))
    attributes = json.loads((output / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    for said in (record, attributes["napari_cwtnet"]):
        assert said["dtype"] == "float16"
        assert said["grid"] == [5, 6, 62, 70]
        assert said["mode"] == "oracle"
        assert said["skip_background"] is False
        assert "background_tiles" not in said


def test_words_that_do_not_go_together(run: Run, slide_file: Path, tmp_path: Path) -> None:
    words = ("enhance", slide_file, "--region", "all", "--model", "small-x2", "--device", "cpu")
    refused(run(*words, "--output", tmp_path / "a.png", "--resume"), "a.png", ".ome.zarr")
    refused(
        run(*words, "--output", tmp_path / "a.ome.tif", "--block", 100),
        "Block of 100 pixels", "1024",
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    done = run(*words, "--output", tmp_path / "a.png", "--downsample", 4, "--json")
    assert json.loads(done.stdout)["output_size"] == [366, 258]
