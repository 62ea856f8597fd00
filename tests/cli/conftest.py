"""The command line as a user has it, with models in a folder of their own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slides.pattern import write_ome

from napari_cwtnet.cli import main
from napari_cwtnet.model import CwtNet, preset, save_weights

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``small-x2`` and ``small-x4``: untrained, so exactly bicubic."""
    folder = tmp_path_factory.mktemp("models")
    for scale in (2, 4):
        changes = {"blocks": 1, "channels": 8, "tile": 64, "halo": 8, "skip": "finest"}
        network = CwtNet(preset("lite", scale, **changes))
        share = 0.5 if scale == 4 else 0.0
        save_weights(folder / f"small-x{scale}.safetensors", network, {"reference_share": share})
    return folder


@pytest.fixture(scope="session")
def slide_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OME-TIFF pyramid of the analytic pattern, 731 × 517 pixels of 0.25 µm."""
    return write_ome(tmp_path_factory.mktemp("slides") / "pattern.ome.tif")


@pytest.fixture
def run(models: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``napari-cwtnet`` with the given words, in this process."""
    monkeypatch.setenv("CWTNET_MODELS", str(models))

    def run_command(*words: object) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main([str(word) for word in words])
            except SystemExit as stop:
                code = stop.code
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    return run_command


@pytest.fixture
def run_process(models: Path) -> Run:
    """Run ``napari-cwtnet`` with the given words, in a process of its own."""

    def run_command(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "napari_cwtnet.cli", *(str(word) for word in words)],
            env=os.environ | {"CWTNET_MODELS": str(models)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )

    return run_command
