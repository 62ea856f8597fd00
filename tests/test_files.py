"""Files appear whole or not at all, on a disk that is really full too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_cwtnet.errors import OutputError
from napari_cwtnet.files import folder_written_whole, written_whole


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
        assert partial.parent == tmp_path  # the rename stays on one disk
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


def test_an_older_folder_that_cannot_be_put_back_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").write_text("old")
    replace, calls = Path.replace, []

    def only_once(source: Path, target: Path) -> Path:
        calls.append(source)
        if len(calls) > 1:
            raise PermissionError(13, "Permission denied")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", only_once)
    with pytest.raises(OutputError, match="Permission denied"), folder_written_whole(path) as new:
        new.mkdir()
    assert [found.read_text() for found in tmp_path.rglob("old")] == ["old"]


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
