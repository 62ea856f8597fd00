"""A whole slide on a Dask cluster by TLS, set up as the how-to says."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from export.test_whole_cluster import Cluster
from export.whole_help import BLOCK, without_time, write_model, write_slide
from napari_cwtnet.cli import main
from napari_cwtnet.export.whole_slide import Job, enhance_to_file

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
if shutil.which("openssl") is None:
    pytest.skip("openssl is not installed", allow_module_level=True)

HOW_TO = Path(__file__).parents[2] / "docs/how-to/whole-slides.md"
TLS = "DASK_DISTRIBUTED__COMM__TLS__"
MOST_SECONDS = 20


def shell_of_how_to(word: str) -> str:
    """The commands of the one block that has a word in it."""
    blocks = HOW_TO.read_text("utf-8").split("```sh\n")[1:]
    (found,) = [block.split("```")[0] for block in blocks if word in block]
    return found


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands of the how-to were run."""
    folder = tmp_path_factory.mktemp("certificates")
    made = subprocess.run(
        ["sh", "-euc", shell_of_how_to("openssl")],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def variables(certificates: Path) -> dict[str, str]:
    """What the how-to exports, by whole paths."""
    lines = shell_of_how_to("export DASK").splitlines()
    words = [one for line in lines if line.startswith("export ") for one in shlex.split(line)[1:]]
    found = dict(word.split("=", 1) for word in words)
    assert len(found) == 7
    return {name: str(certificates / file) for name, file in found.items()}


@pytest.fixture(scope="module")
def cluster(certificates: Path, variables: dict[str, str]) -> Iterator[Cluster]:
    assert " --protocol tls " in shell_of_how_to("export DASK")
    made = Cluster(certificates, "tls", variables)
    yield made
    made.stop()


@pytest.mark.slow
def test_as_the_how_to_says(cluster: Cluster, variables: dict[str, str], tmp_path: Path) -> None:
    assert cluster.address.startswith("tls://")
    cluster.worker()
    slide, model = write_slide(tmp_path / "slide.tif"), write_model(tmp_path, 2)
    words = [
        "enhance", slide, "--region", "all", "--model", model, "--downsample", 2,
        "--device", "cpu", "--block", BLOCK, "--output", "by-tls.ome.zarr",
        "--scheduler", cluster.address, "--json",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "napari_cwtnet", *map(str, words)],
        cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["blocks"] == 4
    job = Job(slide, str(model), downsample=2.0, device="cpu")
    enhance_to_file(job, tmp_path / "alone.ome.zarr", block=BLOCK)
    assert without_time(tmp_path / "by-tls.ome.zarr") == without_time(tmp_path / "alone.ome.zarr")


def of_another_authority(folder: Path) -> tuple[str, str]:
    """A certificate that nobody here has signed, and its key."""
    words = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
        "-subj /CN=stranger -keyout key -out cert"
    )
    subprocess.run(words.split(), cwd=folder, capture_output=True, check=True)
    return str(folder / "cert"), str(folder / "key")


def as_config(variables: dict[str, str]) -> dict[str, str]:
    """The same for a process that has read its environment already."""
    return {
        name.removeprefix("DASK_").replace("__", ".").lower(): file
        for name, file in variables.items()
    }


def test_the_right_certificate_is_accepted(cluster: Cluster, variables: dict[str, str]) -> None:
    with (
        dask.config.set(as_config(variables)),
        distributed.Client(cluster.address, timeout=60) as client,
    ):
        assert client.status == "running"


@pytest.mark.parametrize("wrong", ["none", "stranger", "scheduler not known", "no such file"])
def test_a_wrong_certificate_is_one_line(
    cluster: Cluster, variables: dict[str, str], tmp_path: Path, capsys: Any, wrong: str
) -> None:
    given = dict(variables)
    if wrong == "none":
        given = {}
    elif wrong == "stranger":
        given[f"{TLS}CLIENT__CERT"], given[f"{TLS}CLIENT__KEY"] = of_another_authority(tmp_path)
    elif wrong == "scheduler not known":
        given[f"{TLS}CA_FILE"] = of_another_authority(tmp_path)[0]
    else:
        given[f"{TLS}CLIENT__CERT"] = str(tmp_path / "nowhere.pem")
    slide, output = write_slide(tmp_path / "slide.tif"), tmp_path / "out.ome.zarr"
    words = ["--model", "cwtnet-lite-x2", "--region", "all", "--scheduler", cluster.address]
    began = time.monotonic()
    with dask.config.set(as_config(given)):
        assert main(["enhance", str(slide), *words, "--output", str(output)]) == 2
    assert time.monotonic() - began < MOST_SECONDS
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"napari-cwtnet: Scheduler '{cluster.address}' does not answer, or not")
    assert f"{TLS}CLIENT__CERT" in line
    assert not output.exists()
