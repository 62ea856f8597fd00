"""The set-up asks for what is missing, and for nothing else."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "system_libraries.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script on a Linux where nothing is missing and nothing may be run."""
    spec = importlib.util.spec_from_file_location("system_libraries", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def refuse(command: list[str], **_: Any) -> None:
        pytest.fail(f"must not run {command}")

    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setattr(module, "_loads", lambda library: True)
    monkeypatch.setattr(module.shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(module.subprocess, "run", refuse)
    monkeypatch.setenv("DISPLAY", ":0")
    return module


@pytest.mark.parametrize("purpose", ["test", "lint", "demo"])
def test_complete_system_is_left_alone(
    script: ModuleType, capsys: pytest.CaptureFixture[str], purpose: str
) -> None:
    assert script.main(purpose) == 0
    assert capsys.readouterr().out == ""


def test_missing_library_gives_its_package(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "_loads", lambda library: library != "libxcb-cursor.so.0")
    assert script.missing_packages("test") == ["libxcb-cursor0"]
    assert script.missing_packages("demo") == ["libxcb-cursor0"]
    assert script.missing_packages("lint") == []


def test_only_tests_need_a_virtual_screen(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script.shutil, "which", lambda program: None)
    assert script.missing_packages("test") == ["x11-utils", "xvfb"]
    assert script.missing_packages("demo") == []


def test_demo_without_a_screen_needs_nothing(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "_loads", lambda library: False)
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert script.missing_packages("demo") == []


def test_other_systems_need_nothing(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "_loads", lambda library: False)
    monkeypatch.setattr(script.sys, "platform", "darwin")
    assert script.missing_packages("test") == []


@pytest.mark.parametrize(("purpose", "status"), [("test", 1), ("lint", 1), ("demo", 0)])
def test_without_privilege_the_line_to_type_is_printed(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    purpose: str,
    status: int,
) -> None:
    monkeypatch.setattr(script, "_loads", lambda library: library != "libEGL.so.1")
    monkeypatch.setattr(script, "_privilege", lambda: None)
    assert script.main(purpose) == status
    assert (
        "\n    sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends libegl1'\n"
        in capsys.readouterr().out
    )


def test_root_installs_what_is_missing(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[list[str]] = []

    def record(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        run.append(command[command.index("apt-get") :])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(script, "_loads", lambda library: library != "libEGL.so.1" or len(run) == 2)
    monkeypatch.setattr(script.os, "geteuid", lambda: 0)
    monkeypatch.setattr(script.subprocess, "run", record)
    assert script.main("test") == 0
    assert run == [
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "-y", "--no-install-recommends", "libegl1"],
    ]
