"""What files say reaches the terminal as text, in lines of bounded length."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from slides.test_forking import FINEST

from cli.conftest import Run
from cli.test_refusals import enhance_words, refused
from napari_cwtnet.cli import main
from napari_cwtnet.cli.terminal import MOST, printable, printable_json
from napari_cwtnet.plugin.viewer.command_line import command_line

ESCAPE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e"


def is_harmless(text: str) -> bool:
    return all(one.isprintable() or one == "\n" for one in text)


def test_names_and_metadata_move_no_cursor(run: Run, tmp_path: Path) -> None:
    path = tmp_path / f"a{ESCAPE}.tif"
    options = {"photometric": "rgb", "tile": (64, 64)}
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number in range(2):
            image = FINEST[: 200 + 64 * number, :300]
            writer.write(image, metadata={"Name": f"\x85\u202e{number}"}, **options)
    for words in (["info", path], ["info", path, "--json"], ["info", f"{path}{ESCAPE}"]):
        done = run(*words)
        assert is_harmless(done.stdout + done.stderr), repr(done.stdout + done.stderr)
        assert done.returncode == (2 if str(words[1]).endswith(ESCAPE) else 0)
    assert json.loads(run("info", path, "--json").stdout)["path"] == str(path)
    refused(run("info", path, f"--image={ESCAPE}"), "\\x1b]0;title")


def test_no_line_fills_the_screen(run: Run, models: Path, tmp_path: Path) -> None:
    assert len(printable("a" * 10**6 + "; do this.")) < MOST
    assert printable("a" * 10**6 + "; do this.").endswith("; do this.")
    nested = tmp_path / "nested.yaml"
    nested.write_text("[" * 100_000, encoding="utf-8")
    done = run("train", nested, "--data", tmp_path, "--output", tmp_path / "run")
    refused(done, "too deeply")
    assert json.loads(printable_json(json.dumps("\x9b", ensure_ascii=False))) == "\x9b"


def test_images_are_listed_and_chosen(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "two.tif"
    options = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
    with tifffile.TiffWriter(path) as writer:
        writer.write(FINEST[:200, :300], **options)
        writer.write(FINEST[:400, :300], **options)
    shown = run("info", path).stdout
    assert "--image 0  300 × 200 pixels\n" in shown
    assert "--image 1  300 × 400 pixels, shown here\n" in shown
    assert "the file has 2 images; shown is number 1" in shown
    said = json.loads(run("info", path, "--image", 0, "--json").stdout)
    assert said["size"] == [300, 200]
    assert [one["shown"] for one in said["images"]] == [True, False]
    output = tmp_path / "a.png"
    words = enhance_words(path, output, region="0,0,300,200")
    assert json.loads(run(*words, "--image", 0, "--json").stdout)["region"] == [0, 0, 300, 200]
    refused(run("info", path, "--image", 2), "images 0 to 1")
    words = enhance_words(path, tmp_path / "a.ome.tif", region="all")
    whole = json.loads(run(*words, "--image", 1, "--block", 1024, "--json").stdout)
    assert whole["region"] == [0, 0, 300, 400]


@pytest.mark.parametrize("raised", [MemoryError(), RuntimeError("could not create a primitive")])
def test_memory_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, slide_file: Path, capsys: pytest.CaptureFixture[str],
    raised: Exception,
) -> None:  # fmt: skip
    def no_memory(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("napari_cwtnet.cli.slide.open_slide", no_memory)
    assert main(["info", str(slide_file)]) == 2
    assert capsys.readouterr().err.startswith("napari-cwtnet: out of memory; ")


def test_the_package_runs_as_a_module_with_stdout_closed(slide_file: Path) -> None:
    command = [sys.executable, "-m", "napari_cwtnet", "info", str(slide_file)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    line = " ".join(f"'{word}'" for word in command) + " >&-"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_pasted_command_is_what_was_copied() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    words = [
        "plain",
        "a b",
        "it's",
        "a\nb; touch x",
        ESCAPE,
        "tab\t\\n",
        "$HOME `id`",
        "é\x7f",
        "!1",
    ]
    words.append("caf\udce9\r")
    line = command_line(words)
    assert line.isprintable()
    shell = f'napari-cwtnet() {{ printf "%s\\0" "$@"; }}\n{line}\n'
    done = subprocess.run([bash, "-c", shell], capture_output=True, check=True)
    assert done.stdout.decode(errors="surrogateescape").split("\0")[:-1] == words


def test_a_pipe_is_never_waited_for(run: Run, slide_file: Path, tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    refused(run("info", pipe), "is not a file")
    refused(run(*enhance_words(slide_file, tmp_path / "a.png", model=pipe)), "pipe.safetensors")
    refused(run("train", pipe, "--data", tmp_path, "--output", tmp_path / "run"), "is not a file")
    folder = tmp_path / "a.zarr"
    from slides.test_meaning import write_zarr

    write_zarr(folder, np.ascontiguousarray(FINEST[:256, :256]))
    chunk = folder / "1" / "0.0.0"
    chunk.unlink()
    os.mkfifo(chunk)
    refused(run("info", folder), "is not a file")


def test_no_file_of_any_kind_is_waited_for(run: Run, slide_file: Path, tmp_path: Path) -> None:
    import os

    def pipe(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
        return path

    model = ("--model", "small-x2")
    refused(run("check", "--slides", pipe("list"), *model, "--output", tmp_path / "t"), "list")
    table = pipe("u/slides.csv")
    words = ("check", "--slides", slide_file.parent, *model, "--output", table.parent)
    refused(run(*words), "a pipe or a device")
    words = ("dataset", "build", slide_file, "--output", tmp_path / "set", "--coordinates")
    refused(run(*words, pipe("places.csv")), "a pipe or a device")
    words = ("finetune", slide_file, *model, "--output", tmp_path / "run")
    refused(run(*words, "--config", pipe("config.yaml")), "is not a file")
    words = ("enhance", slide_file, "--roi", pipe("a.geojson"), *model, "--output")
    refused(run(*words, tmp_path / "a.png"), "a.geojson")
    pipe("a.png.json")
    refused(run(*enhance_words(slide_file, tmp_path / "a.png")), "which is there and not this")
    pipe("maps/inspection.json")
    words = ("inspect", slide_file, "--region", "0,0,64,64", *model, "--output")
    refused(run(*words, tmp_path / "maps"), "which no inspection wrote")
    pipe("a.ome.zarr/zarr.json")
    refused(run(*enhance_words(slide_file, tmp_path / "a.ome.zarr")), "more than an image")
    pipe("images/a.png")
    refused(run("evaluate", "--images", tmp_path / "images", *model), "is not a file")
    (pipe(".b.ome.zarr.partial/journal.jsonl").parent / ".napari-cwtnet").touch()
    words = ("enhance", slide_file, "--region", "all", *model, "--resume", "--output")
    refused(run(*words, tmp_path / "b.ome.zarr"), "a pipe or a device")


def test_a_training_s_lines_move_no_cursor(run: Run, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    cells = generator.integers(0, 2, (40, 150)).repeat(4, 0).repeat(4, 1)
    path = tmp_path / f"a{ESCAPE}.png"
    Image.fromarray(np.array([[230, 200, 220], [90, 40, 120]], np.uint8)[cells]).save(path)
    config = tmp_path / "config.yaml"
    config.write_text("steps: 1\npatch: 16\nbatch: 2\n", encoding="utf-8")
    words = ("finetune", path, "--model", "small-x2", "--config", config, "--output")
    done = run(*words, tmp_path / f"run{ESCAPE}")
    assert done.returncode == 0, done.stderr
    assert "\\x1b" in done.stderr
    assert is_harmless(done.stdout + done.stderr)
    done = run(*words, tmp_path / f"run{ESCAPE}")  # is there already
    assert done.returncode == 2
    assert is_harmless(done.stderr)
    done = run("dataset", "build", path, path, "--mpp", 0.25, "--output", tmp_path / "set")
    assert done.returncode == 2
    assert is_harmless(done.stderr)
