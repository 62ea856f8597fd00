"""``inspect``: a folder of maps, one page, and a report; whole or not at all."""

from __future__ import annotations

import base64
import errno
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cli.conftest import Run
from cli.test_refusals import refused
from napari_cwtnet.enhancement import Engine, EnhanceRequest
from napari_cwtnet.errors import OutputError, SlideError
from napari_cwtnet.export.inspection_folder import check_folder, save_inspection
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import attention, capture, haar, survey
from napari_cwtnet.inspection.trust import consistency
from napari_cwtnet.model import CwtNet, load_model, preset, save_weights
from napari_cwtnet.slides import open_slide


def words(slide: Path, output: Path, **changes: object) -> list[object]:
    options = {"region": "100,60,120,96", "downsample": 4, "model": "small-x4", "output": output}
    made: list[object] = ["inspect", slide]
    for name, value in (options | changes).items():
        made += [f"--{name}", value]
    return made


def test_the_folder_holds_what_the_report_says(
    run: Run, slide_file: Path, models: Path, tmp_path: Path
) -> None:
    output = tmp_path / "inside"
    done = run(*words(slide_file, output, probe="150,100"), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert sorted(path.name for path in output.iterdir()) == told["files"]
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert told["matches_within"] == {"0": 1.0, "1": 1.0, "4": 1.0, "16": 1.0}
    assert told["aligned"] is True
    assert told["extrapolation"].startswith("Tested at half this magnification: ")
    with open_slide(slide_file) as slide:
        engine = Engine(load_model(models / "small-x4.safetensors"), "cpu")
        field = capture(slide, engine, EnhanceRequest(Region(100, 60, 120, 96), 4))
    found = consistency(field.sr, field.lr)
    assert told["consistency_mean"] == pytest.approx(np.nanmean(found))
    assert told["tta_std_mean"] < 1e-2  # untrained: exactly bicubic
    assert told["psnr"] == pytest.approx(told["psnr_reference_bicubic"], abs=1)
    details = haar(field.truth)[0]
    energy = np.square(details["HH"], dtype=float).sum() / field.truth.size
    assert told["band_energies"]["truth"]["HH1"] == pytest.approx(energy)
    values = tifffile.imread(output / "attention-block-1.ome.tif")
    assert values.dtype == np.float32
    assert values == pytest.approx(attention(field, 1))
    assert tifffile.imread(output / "consistency.ome.tif") == pytest.approx(found, nan_ok=True)
    assert not list(output.glob("displacement*"))  # it compares only the same place
    assert not list(output.glob("confidence*"))  # attention-mean by another name
    band = tifffile.imread(output / "band-truth-HH1.ome.tif")
    assert np.array_equal(band, details["HH"])


def test_maps_say_where_they_lie_and_that_they_are_computed(
    run: Run, slide_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "inside"
    assert run(*words(slide_file, output)).returncode == 0
    with tifffile.TiffFile(output / "attention-block-1.ome.tif") as tiff:
        notes = tiff.ome_metadata
    assert re.search(r'Name="COMPUTED · 40× from 10× · 0.25 µm/px · .*small-x4 ·', notes)
    assert 'PhysicalSizeX="1.0"' in notes  # LR: 4 pixels of 0.25 µm
    assert 'PositionX="25.375"' in notes  # centre of LR pixel 0, from pixel centre 0
    assert 'PositionY="15.375"' in notes
    assert "For Research Use Only" in notes
    assert str(slide_file) not in notes
    assert slide_file.stem not in notes
    for name in ("attention-block-1.png", "image-truth.png"):
        with Image.open(output / name) as picture:
            assert picture.text["Title"].startswith("COMPUTED · 40×")
    with open_slide(output / "attention-block-1.png") as taken:
        assert taken.computed is not None
    with pytest.raises(SlideError):
        open_slide(output / "attention-block-1.ome.tif")


def test_the_page_stands_alone(run: Run, slide_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "inside"
    assert run(*words(slide_file, output, probe="150,100", depth=5)).returncode == 0
    page = (output / "report.html").read_text(encoding="utf-8")
    record = json.loads((output / "inspection.json").read_text(encoding="utf-8"))
    for said in (
        record["badge"],
        "For Research Use Only. Not for use in diagnostic procedures.",
        record["slide_fingerprint"],
        "x 100, y 60, 120 × 96 level-0 pixels",
        "1.000 µm/px (10×)",
        "This model compares only the same place",
        "Relevance to the patch at 150, 100, block 1",
        "<td>LR</td><td>made here, bicubic, without compression</td>",
        "no scanner stores such pixels",
        "compare the same octave of SR and truth",
        record["extrapolation"],
        "its scale is the same for every field",
        "HH2",
    ):
        assert said in page
    for absent in ("Where the texture came from", "Matches ", "not for use"):
        assert absent not in page  # of an aligned model for use
    sources = re.findall(r"src='([^']*)'", page)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    links = set(re.findall(r"href='([^']*)'", page))
    assert links == {f"#{name}" for name in re.findall(r"<figure id='([^']*)'", page)}
    pictures = {base64.b64decode(source.partition(",")[2]) for source in sources}
    assert (output / "attention-block-1.png").read_bytes() in pictures
    assert (output / "probe-block-1.png").read_bytes() in pictures
    assert slide_file.stem not in page
    deepest = {name: next(iter(found)) for name, found in record["band_energies"].items()}
    assert deepest == {"lr": "LL4", "reference": "LL5", "sr": "LL5", "truth": "LL5"}  # 30 × 24 LR
    assert (output / "band-lr-LL4.ome.tif").exists()
    assert not list(output.glob("band-lr-*5.ome.tif"))
    columns = re.findall(r"<th>([A-Z]{2}\d)</th>", page)
    deepest_first = [f"{b}{d}" for d in (5, 4, 3, 2, 1) for b in ("LL", "LH", "HL", "HH")]
    assert columns == [c for c in deepest_first if c not in ("LL3", "LL2", "LL1")]
    rows = [
        re.findall(r"id='band-([^']*)'", row)
        for row in re.findall(r"<div class='pictures four'>(.*?)</div>", page)
    ]
    assert rows[0] == ["lr-LL4", "lr-LH4", "lr-HL4", "lr-HH4"]
    assert rows[1] == ["lr-LH3", "lr-HL3", "lr-HH3"]
    (asked,) = record["probes"]
    assert asked["query"] == [144, 96, 12, 12]
    assert len(asked["best"]) == 5


def test_beyond_native_there_is_no_truth(run: Run, slide_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "inside"
    done = run(*words(slide_file, output, downsample=2), "--json")
    told = json.loads(done.stdout)
    assert told["psnr"] is None
    assert told["error_mean"] is None
    assert not list(output.glob("*truth*"))
    assert "the scanner recorded nothing this fine" in told["what"]
    assert told["extrapolation"].startswith("Tested at half this magnification: ")
    page = (output / "report.html").read_text(encoding="utf-8")
    for absent in ("truth", "PSNR", "no scanner stores"):
        assert absent not in page


def test_the_page_of_a_model_that_searches_and_is_not_for_use(
    run: Run, slide_file: Path, tmp_path: Path
) -> None:
    path, output = tmp_path / "curious.safetensors", tmp_path / "inside"
    network = CwtNet(preset("lite", 4, blocks=1, channels=8, search="full", tile=64, halo=8))
    save_weights(path, network, {"reference_share": 0.5, "purpose": "for looking inside"})
    assert run(*words(slide_file, output, model=path)).returncode == 0
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "<p class='said'>This model is for looking inside, not for use.</p>" in page
    assert "curious, for looking inside, not for use, sha256" in page
    assert "<h2>Where the texture came from</h2>" in page
    assert "<figure id='displacement-block-1'>" in page
    assert "<td>Matches within 1 LR pixel</td>" in page


def test_a_stored_level_and_an_expected_error(run: Run, slide_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "inside"
    changes = {"region": "100,60,48,48", "downsample": 2, "model": "cwtnet-lite-x2"}
    assert run(*words(slide_file, output, **changes)).returncode == 0
    record = json.loads((output / "inspection.json").read_text(encoding="utf-8"))
    page = (output / "report.html").read_text(encoding="utf-8")
    assert re.search("<td>LR</td><td>stored in the slide, .*lossless</td>", page)
    assert "no scanner stores such pixels" not in page
    expected, predicted = (
        tifffile.imread(output / f"{kind}-error.ome.tif") for kind in ("expected", "predicted")
    )
    assert record["expected_error_mean"] == pytest.approx(expected.mean(), rel=1e-5)
    mean = f"{record['expected_error_mean']:.3f} grey levels"
    assert f"<tr><td>Expected error, mean</td><td>{mean}</td></tr><tr><td>True error" in page
    assert "<figure id='expected-error'>" in page
    same = np.array_equal(expected, predicted)
    assert ("<figure id='predicted-error'>" in page) is not same


def test_an_oracle_is_told_and_written(run: Run, slide_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "inside"
    done = run(*words(slide_file, output, model="small-x2", downsample=2, reference="next"))
    assert done.returncode == 0, done.stderr
    told = json.loads((output / "inspection.json").read_text(encoding="utf-8"))
    assert told["extrapolation"].startswith("ORACLE")
    assert told["extrapolation_gain"] is told["extrapolation_octaves"] is None
    assert told["psnr_reference_bicubic"] is None  # infinite: it is the truth
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "<td>bicubic of the reference</td><td>equal to the truth</td><td>1.0000</td>" in page


def test_a_model_without_a_wt_branch(run: Run, slide_file: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "plain.safetensors", tmp_path / "inside"
    save_weights(path, CwtNet(preset("lite", 4, blocks=1, channels=8, wt_branch=False)), {})
    refused(
        run(*words(slide_file, output, model=path, probe="150,100")), "'plain' has no attention"
    )
    assert not output.exists()
    done = run(*words(slide_file, output, model=path), "--json")
    told = json.loads(done.stdout)
    assert told["matches_within"] == told["wt_error_mean"] == {}
    assert told["attention_mean"] == told["matches_within_per_block"] == []
    assert list(told["band_energies"]) == ["lr", "sr", "truth"]
    assert not [name for name in told["files"] if "attention" in name or "confidence" in name]
    assert "has no attention: its SR branch works alone" in (output / "report.html").read_text(
        encoding="utf-8"
    )


def test_an_inspection_is_replaced_and_nothing_else(
    run: Run, slide_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "inside"
    assert run(*words(slide_file, output, probe="150,100")).returncode == 0
    assert run(*words(slide_file, output)).returncode == 0
    assert not list(output.glob("probe*"))  # nothing of the first is left
    (output / "notes.txt").write_text("mine")
    before = sorted(path.name for path in output.iterdir())
    refused(run(*words(slide_file, output)), "notes.txt", "choose a new folder")
    assert sorted(path.name for path in output.iterdir()) == before
    other = tmp_path / "other"
    other.mkdir()
    assert run(*words(slide_file, other)).returncode == 0  # empty ones are taken


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"region": "0,0,20,20"}, ("5 × 5 LR pixels is too small", "16 × 16")),
        ({"region": "0,0,731,517", "downsample": 1}, ("731 × 517 LR pixels", "512 × 512")),
        ({"region": "900,0,100,100"}, ("Region 900,0,100,100", "outside the slide")),
        ({"probe": "5"}, ("Probe '5'", "X,Y")),
        ({"probe": "5,5"}, ("Place 5,5 is outside the field 100,60,120,96",)),
        ({"depth": 9}, ("Depth 9", "120 × 96 pixels", "1 to 6")),
        ({"model": "best"}, ("Model 'best'", "small-x4")),
        ({"probe": "nan,70"}, ("Place nan,70 is outside the field",)),
        ({"output": "nowhere/inside"}, ("nowhere does not exist",)),
        ({"output": "."}, ("Output .", "give one, such as inside")),
        ({"output": ".."}, ("Output ..", "give one, such as inside")),
    ],
)
def test_refusals(run: Run, slide_file: Path, tmp_path: Path, monkeypatch, changes, said) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CwtNet, "forward", lambda *_, **__: pytest.fail("it has computed"))
    refused(run(*words(slide_file, changes.pop("output", tmp_path / "inside"), **changes)), *said)
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_folder_that_could_not_be_written(
    slide_file: Path, models: Path, tmp_path: Path, monkeypatch
) -> None:
    with open_slide(slide_file) as slide:
        engine = Engine(load_model(models / "small-x4.safetensors"), "cpu")
        found = survey(slide, engine, EnhanceRequest(Region(100, 60, 80, 80), 4))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("napari_cwtnet.export.inspection_folder.report_page", full)
    with pytest.raises(OutputError, match=r"No space left.*free some space"):
        save_inspection(tmp_path / "inside", found)
    assert not list(tmp_path.iterdir())


def test_an_edited_record_gets_no_other_file_deleted(
    run: Run, slide_file: Path, models: Path, tmp_path: Path
) -> None:
    output = tmp_path / "inside"
    assert run(*words(slide_file, output)).returncode == 0
    record = output / "inspection.json"
    said = json.loads(record.read_text(encoding="utf-8"))
    said["files"] += ["marked.ome.tif", "marked.png"]  # as with --trust
    record.write_text(json.dumps(said))
    for name in said["files"][-2:]:
        (output / name).touch()
    check_folder(output)
    assert {path.name for path in output.iterdir()} == set(said["files"])
    for name in ("thesis.docx", "image-thesis.png", "sub/map.png", ".inspection.json"):
        path = output / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("years of work")
        record.write_text(json.dumps(said | {"files": [*said["files"], name, "../slide.png"]}))
        with pytest.raises(OutputError, match="which no inspection wrote; choose a new folder"):
            check_folder(output)
        assert path.read_text() == "years of work"
        path.unlink()
        if path.parent != output:
            path.parent.rmdir()
    for content in ("[" * 100_000, '{"kind": 1}', json.dumps(said | {"files": [["a"]]})):
        record.write_text(content)
        with pytest.raises(OutputError, match="which no inspection wrote; choose a new folder"):
            check_folder(output)
