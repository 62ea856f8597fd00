"""Terminals of few characters, full disks, odd names, and what reports say of odd files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from slides.test_forking import FINEST, write_scn

from cli.conftest import Run
from cli.test_refusals import enhance_words, refused
from napari_cwtnet.export import Roi, write_rois

MODULE = [sys.executable, "-m", "napari_cwtnet.cli"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1251", "cp932", "utf-8:strict"])
def test_a_report_in_an_encoding_that_lacks_characters(
    slide_file: Path, tmp_path: Path, encoding: str
) -> None:
    name = os.fsencode(tmp_path / "caf") + b"\xe9.ome.tif"  # Latin-1, which is no UTF-8
    os.link(slide_file, name)
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for words in ([], ["--json"]):
        done = subprocess.run(
            [*MODULE, "info", os.fsdecode(name), *words],
            capture_output=True, env=environment, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        if words:
            path = json.loads(done.stdout.decode(encoding.partition(":")[0]))["path"]
            assert os.fsencode(path) == name
        else:
            assert b"731" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_below_stdout(slide_file: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*MODULE, "info", slide_file], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert b"No space left" in done.stderr


def test_names_that_are_too_long(run: Run, slide_file: Path, tmp_path: Path) -> None:
    refused(run("info", tmp_path / ("a" * 300 + ".svs")), "File name too long")
    refused(run("info", slide_file / "x.svs"), "does not exist")
    for length in (220, 237, 244, 300):  # of the name; its record and the partial file are longer
        output = tmp_path / ("y" * length + ".ome.tif")
        done = run(*enhance_words(slide_file, output))
        if length > 220:
            refused(done, "File name too long", "choose another output")
            assert not list(tmp_path.iterdir())
        else:
            assert done.returncode == 0, done.stderr
            for file in tmp_path.iterdir():
                file.unlink()
    refused(run(*enhance_words(slide_file, tmp_path / "a.png", model="m" * 300)), "mmm")


def test_reports_say_what_of_a_file_is_not_used(run: Run, tmp_path: Path) -> None:
    rgb = FINEST[:400, :600]
    options: dict[str, Any] = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}
    options |= {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(rgb, tile=(64, 64), **options)
        writer.write(rgb[:100, :300], tile=(64, 64), subfiletype=1, **options)
    said = json.loads(run("info", tmp_path / "a.tif", "--json").stdout)
    assert said["mpp_note"] == "pixels are not square: 0.25 × 0.5 µm"
    assert said["notes"][0].startswith("level of 300 × 100 pixels is not used")
    shown = run("info", tmp_path / "a.tif").stdout
    assert "level of 300 × 100 pixels is not used" in shown
    words = enhance_words(tmp_path / "a.tif", tmp_path / "a.png", region="0,0,64,64")
    warning = json.loads(run(*words, "--json").stdout)["warning"]
    assert "pixels are not square: 0.25 × 0.5 µm" in warning
    assert "is not used" in warning
    for region in ("0,0,64,64", "all"):
        words = enhance_words(
            tmp_path / "a.tif", tmp_path / "a.ome.tif", region=region, downsample=1
        )
        assert run(*words).returncode == 0
        with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
            xml = tiff.ome_metadata or ""
        assert 'PhysicalSizeX="0.125"' in xml
        assert 'PhysicalSizeY="0.25"' in xml
        assert json.loads((tmp_path / "a.ome.tif.json").read_text("utf-8"))["pixel_aspect"] == 2
    Image.fromarray(rgb).save(tmp_path / "b.png", icc_profile=b"no profile" * 20)
    words = enhance_words(tmp_path / "b.png", tmp_path / "a.png", region="0,0,64,64")
    assert "ICC profile is not applied" in json.loads(run(*words, "--json").stdout)["warning"]
    assert "not applied" in json.loads(run("info", tmp_path / "b.png", "--json").stdout)["icc_note"]


def test_a_geojson_counts_from_the_scanned_part_of_a_slide(run: Run, tmp_path: Path) -> None:
    slide, roi, output = (tmp_path / name for name in ("a.scn", "a.geojson", "a.png"))
    write_scn(slide)
    write_rois(roi, [Roi(((100.0, 100.0), (300.0, 100.0), (300.0, 260.0), (100.0, 260.0)))])
    words = ("enhance", slide, "--roi", roi, "--downsample", 1, "--model", "small-x2")
    said = json.loads(run(*words, "--output", output, "--json").stdout)
    assert said["region"] == [1100, 700, 200, 160]
    assert "count from 1000,600" in said["warning"]
    place = FINEST[100:260, 100:300].mean()
    assert abs(np.asarray(Image.open(output).convert("RGB")).mean() - place) < 3
    write_rois(roi, [Roi(((1100.0, 700.0), (1300.0, 700.0), (1300.0, 860.0)))], (1000, 600))
    said = json.loads(run(*words, "--output", output, "--json").stdout)
    assert said["region"] == [1100, 700, 200, 160]
