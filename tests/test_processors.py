"""What must hold on every processor holds on one that knows less than this one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

OLD_PROCESSOR = {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}
"""How oneDNN and torch choose their kernels; both read it once, when they are loaded."""

HOLDS_EVERYWHERE = [
    "training/test_finetune.py::test_gains_over_the_start_model",
    "training/test_finetune.py::test_measures_the_file_of_the_best_model_as_it_measured_the_weights",
    "training/test_finetune.py::test_resumed_run_equals_an_unbroken_one[3]",
    "enhancement/test_enhance.py::test_tiles_make_what_the_whole_would",
    "enhancement/test_enhance.py::test_a_part_equals_the_same_part_of_a_larger_region",
    "enhancement/test_threads.py::test_pixels_do_not_depend_on_threads[4-next-float32]",
    "inspection/test_field.py::test_sr_has_the_bytes_of_an_enhancement",
    "model/test_weights.py",
]

PROGRAM = """
import sys
import pytest, torch
assert torch.backends.cpu.get_cpu_capability() == "DEFAULT"
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute where nobody else computes
@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the settings are those of x86"
)
def test_holds_on_an_older_processor() -> None:
    options = ["-q", "-p", "no:cacheprovider", "--no-xvfb", "--timeout=800"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *options, *HOLDS_EVERYWHERE],
        cwd=Path(__file__).parent,
        env=os.environ | OLD_PROCESSOR,
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
