"""Tests and bench of the day, each in a process of its own, whose words are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CUDA_TESTS = ("tests/enhancement/test_cuda.py", "tests/training/test_cuda.py")


def run_tests(output: Path, seconds: float) -> str:
    """Run the CUDA tests into ``tests.txt``; return pytest's last line."""
    settings = output / "pytest.ini"  # not the project's, whose plugins may be missing
    settings.write_text("[pytest]\n", encoding="utf-8")
    command = [
        sys.executable, "-m", "pytest", "-c", str(settings), "--rootdir", str(ROOT),
        "-p", "no:cacheprovider", "-rA", "-q", *CUDA_TESTS,
    ]  # fmt: skip
    text = _output(command, seconds, {})
    (output / "tests.txt").write_text(text, encoding="utf-8")
    return text.strip().splitlines()[-1] if text.strip() else "nothing"


def run_bench(output: Path, device: str, sample: Path, seconds: float, *, toy: bool) -> str:
    """``napari-cwtnet bench``, whose report goes into ``bench.json``."""
    command = [sys.executable, "-m", "napari_cwtnet.cli", "bench", "--json", "--device", device]
    if toy:
        command += ["--only", "reading", "--repeats", "1"]
    text = _output(command, seconds, {"CWTNET_CACHE": str(sample)}, only_report=True)
    (output / "bench.json").write_text(text, encoding="utf-8")
    return "done" if text.startswith("{") else text.strip()[-300:]


def _output(
    command: list[str], seconds: float, more: dict[str, str], *, only_report: bool = False
) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | more
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=max(1.0, seconds),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        so_far: bytes = error.stdout or b""  # bytes even in text mode
        return f"{so_far.decode(errors='replace')}\nout of time"
    if only_report and done.returncode == 0:
        return done.stdout
    return done.stdout + done.stderr
