"""Bad input ends in one line that says what, which value and what to do; exit 2; no file."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
import torch

from cli.conftest import Run
from napari_cwtnet.export import Roi, write_rois


def refused(done, *words: str) -> None:
    assert done.returncode == 2, (done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def enhance_words(slide: Path, output: Path, **changes: object) -> list[object]:
    options = {"region": "0,0,100,100", "downsample": 2, "model": "small-x2", "output": output}
    words: list[object] = ["enhance", slide]
    for name, value in (options | changes).items():
        words += [f"--{name}", value]
    return words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"region": "900,0,100,100"}, ("Region 900,0,100,100", "731 × 517", "inside")),
        ({"region": "0,0,100"}, ("'0,0,100'", "X,Y,WIDTH,HEIGHT")),
        ({"region": "0,0,-5,100"}, ("no area", "above 0")),
        ({"downsample": 0.5}, ("Downsample 0.5", "at least 1")),
        ({"downsample": "x"}, ("--downsample", "'x'")),
        ({"model": "best"}, ("Model 'best'", "small-x2")),
        ({"reference": "prior"}, ("prior", "auto")),
        ({"device": "tpu"}, ("Device 'tpu'", "cpu")),
        ({"mpp": 0.001}, ("0.001",)),
    ],
)
def test_bad_values(run: Run, slide_file: Path, tmp_path: Path, changes, words) -> None:
    output = tmp_path / "out.png"
    refused(run(*enhance_words(slide_file, output, **changes)), *words)
    assert not list(tmp_path.iterdir())


def test_bad_slides(run_process: Run, slide_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    text = tmp_path / "text.svs"
    text.write_text("not a slide")
    cut = tmp_path / "cut.ome.tif"
    cut.write_bytes(slide_file.read_bytes()[:-20_000])
    for path in (tmp_path / "nowhere.svs", text, cut, tmp_path):
        refused(run_process(*enhance_words(path, output)), path.name)
    assert not output.exists()


def test_bad_weights(run: Run, slide_file: Path, models: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    pickled = tmp_path / "weights.pt"
    torch.save({"a": torch.zeros(3)}, pickled)
    corrupt = tmp_path / "corrupt.safetensors"
    corrupt.write_bytes((models / "small-x2.safetensors").read_bytes()[:5000])
    refused(run(*enhance_words(slide_file, output, model=pickled)), "weights.pt", "pickle")
    refused(run(*enhance_words(slide_file, output, model=corrupt)), "corrupt", "damaged")
    in_it = ("is a folder", str(models / "small-x2.safetensors"))
    refused(run(*enhance_words(slide_file, output, model=models)), *in_it)
    whole = tmp_path / "out.ome.tif"
    refused(run(*enhance_words(slide_file, whole, model=models, region="all")), *in_it)
    assert not whole.exists()
    assert not output.exists()


def test_bad_outputs(run: Run, slide_file: Path, tmp_path: Path) -> None:
    refused(run(*enhance_words(slide_file, tmp_path / "out.bmp")), "out.bmp", ".png")
    refused(run(*enhance_words(slide_file, tmp_path / "no" / "out.png")), "does not exist")
    folder = tmp_path / "folder.png"
    folder.mkdir()
    refused(run(*enhance_words(slide_file, folder)), "is a folder")
    older = tmp_path / "older.png"
    older.write_bytes(b"older")
    refused(run(*enhance_words(tmp_path / "nowhere.svs", older)), "nowhere.svs")
    assert older.read_bytes() == b"older"
    words = enhance_words(slide_file, tmp_path / "out.ome.tif")
    refused(run(*words, "--badge"), "PNG pictures only", "out.ome.tif")
    assert not (tmp_path / "out.ome.tif").exists()


@pytest.mark.parametrize("name", ["out.png", "out.ome.tif", "out.ome.zarr"])
def test_a_full_disk_leaves_no_half_file(
    run_process: Run, slide_file: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / name
    if name.endswith("zarr"):
        assert run_process(*enhance_words(slide_file, output)).returncode == 0
        (tmp_path / f"{name}.json").unlink()
        before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    else:
        output.write_text("what was there before")
        before = {output: output.read_bytes()}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    words = enhance_words(slide_file, output, region="0,0,500,500", downsample=1)
    refused(run_process(*words, preexec_fn=limit), name, "free some space")
    assert {path: path.read_bytes() for path in before} == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_bad_rois(run: Run, slide_file: Path, tmp_path: Path) -> None:
    file, output = tmp_path / "rois.geojson", tmp_path / "out.png"
    square = ((0.0, 0.0), (50.0, 0.0), (50.0, 50.0))
    write_rois(file, [Roi(square, "a"), Roi(square, "b"), Roi(square, "b")])
    words = ["enhance", slide_file, "--model", "small-x2", "--output", output]
    refused(run(*words, "--roi", file), "rois.geojson", "3 are meant", "--roi-name ('a', 'b')")
    refused(run(*words, "--roi", file, "--roi-name", "b"), "2 of its 3 polygons")
    refused(run(*words, "--roi", file, "--roi-name", "c"), "0 of its 3 polygons")
    refused(run(*words, "--roi", tmp_path / "no.geojson"), "no.geojson", "check the path")
    refused(run(*words, "--roi", file, "--region", "0,0,9,9"), "not allowed with")
    refused(run(*words), "--region", "--roi")
    assert not output.exists()


def test_bad_words(run: Run) -> None:
    refused(run("enhanse"), "enhanse")
    refused(run("info"), "slide")
    refused(run("evaluate", "--images", "nowhere", "--model", "small-x2"), "nowhere")
    refused(
        run("evaluate", "--images", "nowhere", "--model", "best"),
        "nowhere",
    )


def test_the_oracle_is_refused_unless_asked_for_by_name(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), (200, 100, 150)).save(tmp_path / "flat.png")
    words = ("evaluate", "--images", tmp_path, "--model", "small-x2", "--reference")
    refused(run(*words, "next"), "×2", "oracle")
    assert run(*words, "oracle").returncode == 0


def test_the_slide_itself_is_never_overwritten(run: Run, slide_file: Path) -> None:
    before = slide_file.read_bytes()
    refused(run(*enhance_words(slide_file, slide_file)), "is the slide itself")
    assert slide_file.read_bytes() == before


@pytest.mark.parametrize("name", ["out.png", "out.ome.tif"])
def test_a_computed_image_is_no_truth(
    run: Run, slide_file: Path, tmp_path: Path, name: str
) -> None:
    computed = tmp_path / name
    assert run(*enhance_words(slide_file, computed, region="0,0,200,200")).returncode == 0
    said = json.loads(run("info", computed, "--json").stdout)
    known = "COMPUTED · 40× from 20× · 0.25 µm/px · small-x2"
    assert said["computed"].startswith(known)
    assert all("the slide holds the truth" not in e["what"] for e in said["enhance"])
    again = tmp_path / "again.png"
    report = run(*enhance_words(computed, again, region="0,0,150,150"), "--json").stdout
    assert json.loads(report)["psnr"] is None
    if name.endswith(".png"):
        again.unlink()
        words = ("evaluate", "--images", tmp_path, "--model", "small-x2")
        refused(run(*words), "out.png", "itself computed", "leave it out")
