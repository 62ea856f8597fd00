"""An output that cannot be written is refused before anything is read or computed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Run
from cli.test_refusals import refused


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nobody can make anything, though to root its permissions look well."""
    if sys.platform == "linux" and os.geteuid() == 0:
        yield Path("/proc")
        return
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("permissions do not bind here")
    yield folder
    folder.chmod(0o700)


GONE = Path("there-is-no-such.tif")
"""Named by what is refused, were it looked at first."""


@pytest.mark.parametrize(
    "words",
    [
        ("enhance", GONE, "--region", "all", "--model", "none", "--output", "OUT/a.ome.zarr"),
        ("enhance", GONE, "--region", "0,0,9,9", "--model", "none", "--output", "OUT/a.png"),
        ("enhance", GONE, "--region", "all", "--model", "none", "--resume", "--output",
         "OUT/a.ome.tif"),
        ("resample", GONE, "--mpp", 1, "--output", "OUT/a.ome.tif"),
        ("inspect", GONE, "--region", "0,0,9,9", "--model", "none", "--output", "OUT/maps"),
        ("dataset", "build", GONE, "--output", "OUT/set"),
        ("dataset", "build", GONE, "--output", "OUT/new/set"),
        ("train", "cwtnet-lite-x2", "--data", "DATA", "--output", "OUT/run"),
        ("check", "--slides", "SLIDES", "--model", "small-x2", "--output", "OUT"),
        ("demo", "--no-window", "--output", "OUT"),
        ("finetune", "SLIDE", "--model", "small-x2", "--output", "OUT/run"),
    ],
    ids=lambda words: " ".join(map(str, words[:2])),
)  # fmt: skip
def test_refused_at_once(
    run: Run, locked: Path, slide_file: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    listed = tmp_path / "slides.txt"
    listed.write_text(str(slide_file), encoding="utf-8")
    known = {"OUT": locked, "DATA": tmp_path, "SLIDES": listed, "SLIDE": slide_file}
    full = [
        "/".join(str(known.get(part, part)) for part in one.split("/"))
        if isinstance(one, str)
        else one
        for one in words
    ]
    refused(
        run(*full), f"Cannot write {'to ' if words[0] in ('finetune', 'train') else ''}{locked}"
    )
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("kind", ["onnx", "bioimageio"])
def test_a_model_for_other_programs(run: Run, locked: Path, kind: str) -> None:
    pytest.importorskip("onnxscript")
    output = locked / ("a.zip" if kind == "bioimageio" else "a.onnx")
    words = ("models", "export", "small-x2", "--format", kind, "--output")
    refused(run(*words, output), f"Cannot write {output}")
    refused(run(*words, output.parent / "gone" / output.name), "does not exist")


def test_the_folder_of_models(
    run: Run, locked: Path, slide_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path(os.environ["CWTNET_MODELS"]) / "small-x2.safetensors"
    monkeypatch.setenv("CWTNET_MODELS", str(locked / "models"))
    words = ("finetune", slide_file, "--model", model, "--output", tmp_path / "run")
    refused(run(*words, "--name", "mine"), f"Cannot write {locked / 'models'}")
    assert not (tmp_path / "run").exists()
