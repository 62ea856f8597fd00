"""The demo on the real sample slide: what it writes, says and measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from napari_cwtnet import open_slide
from napari_cwtnet.cli import demo, main


def test_it_checks_and_goes_beyond(
    data_dir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = data_dir / "slides/cmu1_small_svs/CMU-1-Small-Region.svs"
    monkeypatch.setattr(demo, "sample_slide", lambda: slide)
    assert main(["demo", "--output", str(tmp_path), "--no-window", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    checked, beyond = said["checkable"], said["beyond"]
    assert checked["what"].startswith("Check: 10× → 20× against the slide's own 20×")
    assert checked["degradation"] == "2×2 mean · JPEG 30, RGB"  # the slide's own
    assert checked["psnr"] > checked["psnr_bicubic"] + 0.5
    assert checked["ssim"] > checked["ssim_bicubic"]
    assert beyond["beyond_native"]
    assert beyond["psnr"] is None
    for name, width in (("checkable", 3), ("beyond", 2)):
        with Image.open(tmp_path / f"{name}-side-by-side.png") as sheet:
            assert sheet.width // 440 == width  # panels of 220 pixels, twice as large
        with open_slide(tmp_path / f"{name}.png") as made, open_slide(slide) as scanned:
            assert made.computed is not None
            assert made.computed_from == scanned.fingerprint
