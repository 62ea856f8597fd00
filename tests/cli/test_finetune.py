"""``finetune`` from the command line: what it reports, writes, refuses and takes up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.conftest import Run
from cli.test_refusals import refused
from napari_cwtnet.model import load_model, read_weights
from napari_cwtnet.training.run_folder import RunLock

CONFIG = "steps: 4\nvalidate_every: 2\npatch: 16\nbatch: 2\nlearning_rate: 0.001\n"
KEYS = {
    "psnr_before", "psnr_after", "psnr_bicubic", "ssim_before", "ssim_after", "steps", "seconds",
    "weights",
}  # fmt: skip


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """Sharp stripes and noise in tissue colours, 600 × 160 pixels."""
    generator = np.random.default_rng(0)
    cells = generator.integers(0, 2, (40, 150)).repeat(4, 0).repeat(4, 1)
    path = tmp_path / "stripes.png"
    Image.fromarray(np.array([[230, 200, 220], [90, 40, 120]], np.uint8)[cells]).save(path)
    return path


@pytest.fixture
def words(slide: Path, tmp_path: Path) -> list[object]:
    """A run of four steps, in ``tmp_path / "run"``."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    return [
        "finetune", slide, "--model", "small-x2", "--output", tmp_path / "run", "--config", config,
    ]  # fmt: skip


def test_report_and_weights(run: Run, words: list[object], tmp_path: Path) -> None:
    done = run(*words, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.keys() >= KEYS
    assert said["steps"] == 4
    assert said["seconds"] > 0
    assert said["psnr_before"] == pytest.approx(said["psnr_bicubic"], abs=0.02)
    assert said["psnr_after"] >= said["psnr_before"]
    assert said["improved"] == (said["psnr_after"] > said["psnr_before"])
    assert said["stopped"] is False
    assert said["cross_scale"] is None
    assert 0 < said["ssim_before"] <= said["ssim_after"] + 0.01
    model = load_model(said["weights"])
    assert model.path == tmp_path / "run" / "small-x2-finetuned.safetensors"
    assert model.provenance["parent"]["name"] == "small-x2"
    assert "1 held out" not in done.stdout
    assert "stripes.png: 1 field to train on (" in done.stderr


def test_a_budget_that_measuring_uses_up_is_said_to_be_too_small(
    run: Run, words: list[object]
) -> None:
    done = run(*words, "--minutes", "0.0001", "--json")
    assert json.loads(done.stdout)["steps"] == 0
    assert "took all the time there was; give more --minutes" in done.stderr


def test_cross_scale_model_reports_both_modes(run: Run, words: list[object]) -> None:
    words[words.index("small-x2")] = "small-x4"
    said = json.loads(run(*words, "--json").stdout)
    assert said["cross_scale"]["psnr_before"] > said["psnr_before"]
    assert said["cross_scale"]["psnr_after"] >= said["cross_scale"]["psnr_before"]


def test_named_model_is_in_the_list_at_once(
    run: Run, words: list[object], models: Path, slide: Path, tmp_path: Path
) -> None:
    done = run(*words, "--name", "mine", "--json")
    installed = models / "mine.safetensors"
    try:
        said = json.loads(done.stdout)
        assert said["weights"] == str(installed)
        assert installed.read_bytes() == (tmp_path / "run" / "mine.safetensors").read_bytes()
        names = [m["name"] for m in json.loads(run("models", "--json").stdout)["models"]]
        assert "mine" in names
        out = tmp_path / "out.png"
        enhanced = run(
            "enhance", slide, "--region", "0,0,90,90", "--model", "mine", "--output", out
        )
        assert enhanced.returncode == 0, enhanced.stderr
        words[words.index("--output") + 1] = tmp_path / "other"
        refused(run(*words, "--name", "mine"), "'mine' exists", "--name")
        assert not (tmp_path / "other").exists()
    finally:
        installed.unlink(missing_ok=True)


def test_run_in_the_folder_is_never_overwritten(
    run: Run, words: list[object], tmp_path: Path
) -> None:
    first = json.loads(run(*words, "--json").stdout)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    refused(run(*words), str(tmp_path / "run"), "holds a run", "--resume")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == kept
    again = json.loads(run(*words, "--resume", "--json").stdout)
    assert again == first
    bare = run("finetune", "--output", tmp_path / "run", "--resume", "--json")
    assert json.loads(bare.stdout) == first


@pytest.mark.parametrize(
    ("more", "named"),
    [(["--minutes", "3"], "'minutes'"), (["--name", "other"], "'name'")],
)
def test_resume_with_another_recipe_is_refused(
    run: Run, words: list[object], more: list[str], named: str
) -> None:
    assert run(*words).returncode == 0
    refused(run(*words, "--resume", *more), named, "--resume")


def test_resume_with_another_slide_or_model_is_refused(
    run: Run, words: list[object], slide: Path, tmp_path: Path
) -> None:
    assert run(*words).returncode == 0
    other = tmp_path / "other.png"
    Image.open(slide).rotate(180).save(other)
    words[1] = other
    refused(run(*words, "--resume"), "'slides'")
    words[1] = slide
    words[words.index("small-x2")] = "small-x4"
    refused(run(*words, "--resume"), "'start'")


def test_folder_that_another_run_works_in_is_refused(
    run: Run, words: list[object], tmp_path: Path
) -> None:
    lock = RunLock(tmp_path / "run")
    lock.acquire()
    refused(run(*words), "Another run is using", str(tmp_path / "run"))
    lock.release()
    assert run(*words).returncode == 0


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_run_goes_on(run: Run, words: list[object], models: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace("steps: 4", "steps: 40"))
    unbroken = json.loads(run(*words, "--json").stdout)
    words[words.index("--output") + 1] = tmp_path / "killed"
    command = [sys.executable, "-m", "napari_cwtnet.cli", *map(str, words)]
    environment = os.environ | {"CWTNET_MODELS": str(models), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if line.startswith("step 6:"):
                child.kill()
                break
        child.stderr.close()
        assert child.wait(30) == -signal.SIGKILL
    log = (tmp_path / "killed" / "log.csv").read_text().splitlines()
    assert len(log) < 21
    resumed = run(*words, "--resume", "--json")
    assert resumed.returncode == 0, resumed.stderr
    said = json.loads(resumed.stdout)
    same = KEYS - {"seconds", "weights"}
    assert {key: said[key] for key in same} == {key: unbroken[key] for key in same}
    assert len((tmp_path / "killed" / "log.csv").read_text().splitlines()) == 22
    first, second = (read_weights(Path(s["weights"]))[0] for s in (unbroken, said))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert (a == b).all()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_interrupted_run_keeps_the_best_and_reports(
    run: Run, words: list[object], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace("steps: 4", "steps: 100000"))
    log = tmp_path / "run" / "log.csv"

    def interrupt() -> None:
        while not (log.exists() and "\n2," in log.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    threading.Thread(target=interrupt, daemon=True).start()
    done = run(*words, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["stopped"] is True
    assert 2 <= said["steps"] < 100000
    assert "the best model is kept" in done.stderr
    assert load_model(said["weights"]).scale == 2
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"--model": "best"}, ("Model 'best'", "small-x2")),
        ({"--minutes": "0"}, ("minutes", "0.0", "above 0")),
        ({"--minutes": "x"}, ("--minutes", "'x'")),
        ({"--device": "tpu"}, ("Device 'tpu'", "cpu")),
        ({"--config": "nowhere.yaml"}, ("nowhere.yaml", "cannot be read")),
        ({"--name": "../x"}, ("name", "'../x'", "[A-Za-z0-9]")),
        ({"--held-out": "5"}, ("--held-out 5", "below 1")),
    ],
)
def test_bad_values(run: Run, words: list[object], tmp_path: Path, changes, named) -> None:
    for option, value in changes.items():
        if option in words:
            words[words.index(option) + 1] = value
        else:
            words += [option, value]
    refused(run(*words), *named)
    assert not (tmp_path / "run").exists()


def test_bad_slides_and_settings(run: Run, words: list[object], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    text = tmp_path / "text.svs"
    text.write_text("not a slide")
    glass = tmp_path / "glass.png"
    Image.new("RGB", (600, 400), (244, 243, 242)).save(glass)
    slide = words[1]
    for path, *named in (
        (tmp_path / "nowhere.svs", "nowhere.svs", "does not exist"),
        (text, "text.svs"),
        (glass, "'glass.png' has no field for training", "choose"),
    ):
        words[1] = path
        refused(run(*words), *named)
    leak = f"slides: [{{path: {slide}, regions: [[0,0,300,160]], held_out: [[250,0,300,160]]}}]\n"
    config.write_text(CONFIG + leak)
    refused(run(*words), "names slides too")
    del words[1]
    refused(run(*words), "region 0,0,300,160 is trained on", "region 250,0,300,160 is held out")
    config.write_text(CONFIG)
    refused(run(*words), "No slide")
    refused(run(*words, "--resume"), "holds no run")
    config.write_text("- a\n")
    refused(run(*words, slide), "config.yaml", "fields of a recipe")
    config.write_text("scale: 4\n")
    refused(run(*words, slide), "scale: set by the start model")
    assert not (tmp_path / "run").exists()


def test_torchrun_is_for_train(
    run: Run, words: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused(run(*words), "finetune runs in one process", "train")


def test_slides_by_config(run: Run, words: list[object], slide: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        CONFIG + f"slides: [{{path: {slide.name}, held_out_share: 0.5, levels: stored}}]\n"
    )
    del words[1]
    done = run(*words, "--json")
    assert done.returncode == 0, done.stderr
    recipe = (tmp_path / "run" / "recipe.yaml").read_text()
    assert "levels: stored" in recipe
    assert "held_out_share: 0.5" in recipe
    assert run(*words, "--resume").returncode == 0
