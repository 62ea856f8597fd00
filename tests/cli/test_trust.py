"""``enhance --trust``: a mask beside the image, and the promise in the record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter

from cli.conftest import Run


@pytest.fixture(scope="module")
def textured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of 1,600 × 1,300 pixels of texture."""
    noise = np.random.default_rng(5).normal(size=(1300, 1600, 3))
    fine = gaussian_filter(noise, (0.9, 0.9, 0))
    pixels = np.clip(150 + 30 * fine / fine.std(), 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("slide") / "textured.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256))
    return path


@pytest.fixture(autouse=True)
def _own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CWTNET_CONFIG", str(tmp_path / "config"))


def test_the_mask_and_the_promise(run: Run, textured: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    words = ["enhance", textured, "--mpp", 0.5, "--region", "100,100,101,75", "--json"]
    words += ["--model", "cwtnet-lite-x2", "--output", output, "--trust"]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    mask = np.asarray(Image.open(said["marked"]))
    assert mask.shape == (150, 202)
    assert set(np.unique(mask)) <= {0, 255}
    assert said["trust"]["fields"] == 12
    assert said["trust"]["sentence"].startswith("Measured on 12 fields of this slide at half")
    assert said["trust"]["marked_here"] == pytest.approx((mask > 0).mean(), abs=0.02)
    record = json.loads(output.with_name("out.png.json").read_text())
    assert record["trust"] == said["trust"]
    with Image.open(said["marked"]) as image:
        assert json.loads(image.text["Comment"])["trust"] == said["trust"]
    (kept,) = (tmp_path / "config" / "calibrations").glob("*.json")
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"threshold": 0.0}))
    again = json.loads(run(*words).stdout)  # by what was kept
    assert again["trust"]["marked_here"] == 1
    told = run(*[word for word in words if word != "--json"]).stdout
    assert "100 %: do not rely on this image" in told
    assert run(*words[:-1]).returncode == 0
    assert not Path(said["marked"]).exists()  # it was of the image before


def test_what_cannot_be_trusted_says_why(
    run: Run, textured: Path, slide_file: Path, tmp_path: Path
) -> None:
    words = ["--region", "0,0,64,64", "--output", tmp_path / "out.png", "--trust"]
    done = run("enhance", slide_file, *words, "--model", "small-x2")
    assert done.returncode == 2
    assert "does not predict its error" in done.stderr
    assert "tile" not in done.stderr  # before anything is computed
    words[1] = "all"
    words[3] = tmp_path / "out.ome.tif"
    done = run("enhance", textured, "--mpp", 0.5, *words, "--model", "cwtnet-lite-x2")
    assert done.returncode == 2
    assert "computed at once" in done.stderr
