"""Files appear whole or not at all, on a disk that is really full too."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_cwtnet import files
from napari_cwtnet.errors import OutputError
from napari_cwtnet.files import MARKER, append, folder_written_whole, sweep, written_whole

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses, with a real OSError, to let a file grow beyond ``size`` bytes."""
    resource = pytest.importorskip("resource", reason="file size limits need a POSIX system")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with written_whole(path) as partial:
        partial.write_bytes(b"whole")
        assert partial.parent.parent == tmp_path  # the rename stays on one disk
        assert partial.parent.stat().st_mode & 0o077 == 0
        assert partial.suffix == ".bin"
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert names(tmp_path) == ["a.bin"]


def test_older_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old and longer")
    with written_whole(path) as partial:
        partial.write_bytes(b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("older", [None, b"old"])
def test_interrupted_block_leaves_all_as_it_was(tmp_path: Path, older: bytes | None) -> None:
    path = tmp_path / "a.bin"
    if older is not None:
        path.write_bytes(older)

    def write() -> None:
        with written_whole(path) as partial:
            partial.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert names(tmp_path) == ([] if older is None else ["a.bin"])
    assert older is None or path.read_bytes() == older


@pytest.mark.parametrize("older", [None, b"old"])
def test_full_disk_leaves_all_as_it_was(tmp_path: Path, older: bytes | None) -> None:
    path = tmp_path / "a.bin"
    if older is not None:
        path.write_bytes(older)
    with (
        largest_file(1000),
        pytest.raises(OutputError, match=r"^Cannot write .*a\.bin: File too large; free some"),
        written_whole(path) as partial,
    ):
        partial.write_bytes(bytes(2000))
    assert names(tmp_path) == ([] if older is None else ["a.bin"])
    assert older is None or path.read_bytes() == older


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"^Folder .*nowhere does not exist; make it"),
        written_whole(tmp_path / "nowhere" / "a.bin"),
    ):
        pytest.fail("the block must not be entered")


def test_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"a\.bin: No such file"),
        written_whole(tmp_path / "a.bin"),
    ):
        pass


def test_a_folder_appears_whole_in_place_of_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    for text in ("old", "new"):
        with folder_written_whole(path) as partial:
            partial.mkdir()
            (partial / text).write_text(text)
    assert names(tmp_path) == ["a.zarr"]
    assert names(path) == ["new"]


@needs_fork
def test_an_older_folder_that_cannot_be_put_back_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system cannot exchange names, and fails twice in a row."""
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").write_text("old")
    replace, calls = Path.replace, []

    def only_once(source: Path, target: Path) -> Path:
        calls.append(source)
        if len(calls) > 1:
            os._exit(3)
        return replace(source, target)

    def write(text: str) -> None:
        with folder_written_whole(path) as new:
            new.mkdir()
            (new / text).write_text(text)

    monkeypatch.setattr(files, "_exchange", lambda a, b: False)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Path, "replace", only_once)
        write("new")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert [found.read_text() for found in tmp_path.rglob("old")] == ["old"]
    assert not path.exists()
    sweep(tmp_path)
    assert [found.name for found in tmp_path.rglob("*")] == ["a.zarr", "old"]
    write("new")
    assert [found.name for found in tmp_path.rglob("*")] == ["a.zarr", "new"]


@needs_fork
def test_what_a_killed_process_left_goes_with_the_next_run(tmp_path: Path) -> None:
    path, before = tmp_path / "a.bin", tmp_path / "a.bin.json"
    child = os.fork()
    if child == 0:
        with written_whole(path) as partial:
            partial.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    before.write_text("of the one before")
    with written_whole(tmp_path / "b.bin") as partial:  # another output
        partial.write_bytes(b"whole")
    assert left.exists()
    with written_whole(path, derived=before) as partial:
        assert not left.exists()
        sweep(tmp_path)  # of a living process
        partial.write_bytes(b"whole")
        assert before.exists()
    assert names(tmp_path) == ["a.bin", "b.bin"]


def test_nothing_that_was_planted_is_written_or_removed(tmp_path: Path) -> None:
    precious, path = tmp_path / "precious", tmp_path / "a.bin"
    precious.mkdir()
    (precious / "thesis").write_text("years of work")
    (tmp_path / f".a.{os.getpid()}.partial.bin").symlink_to(precious / "thesis")
    (tmp_path / ".a.bin.0123456f.partial").symlink_to(precious)
    stranger = tmp_path / ".a.bin.01234560.partial"  # of our name, but not marked
    stranger.mkdir()
    (stranger / "thesis").write_text("years of work")
    trap = tmp_path / ".a.bin.01234561.partial"
    trap.mkdir()
    (trap / MARKER).symlink_to(precious / "thesis")
    (trap / "link").symlink_to(precious)
    with written_whole(path) as partial:
        partial.write_bytes(b"whole")
    append(tmp_path / "log", b"a")
    append(tmp_path / "log", b"b")
    assert (tmp_path / "log").read_bytes() == b"ab"
    (tmp_path / "link").symlink_to(precious / "thesis")
    with pytest.raises(OSError, match=r"symbolic|Too many"):
        append(tmp_path / "link", b"more")
    assert (precious / "thesis").read_text() == "years of work"
    assert (stranger / "thesis").exists()


def test_an_interrupted_folder_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").write_text("old")

    def write() -> None:
        with folder_written_whole(path) as partial:
            partial.mkdir()
            (partial / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    with pytest.raises(OutputError, match=r"a\.zarr: No such file"), folder_written_whole(path):
        pass  # nothing was written, so that there is nothing to rename
    assert names(tmp_path) == ["a.zarr"]
    assert (path / "old").read_text() == "old"


def test_a_trial_that_another_process_removes_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rmdir = Path.rmdir

    def removed_twice(path: Path) -> None:
        rmdir(path)
        rmdir(path)

    monkeypatch.setattr(Path, "rmdir", removed_twice)
    files.check_writable(tmp_path / "out.png")
    assert names(tmp_path) == []
