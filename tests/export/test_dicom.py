"""DICOM of computed pixels: other readers open it, nothing is lost, and it names no patient."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import openslide
import pytest
from PIL import Image
from slides.pattern import pattern

from export.whole_help import BLOCK, write_model, write_slide
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.cli import main
from napari_cwtnet.errors import CancelledError, OutputError, SlideError
from napari_cwtnet.export import check_output, dicom, export_image, save_image
from napari_cwtnet.export.dicom_header import make_header
from napari_cwtnet.export.pyramid import halved
from napari_cwtnet.export.record import checked_record
from napari_cwtnet.export.whole_slide import Job, enhance_to_file
from napari_cwtnet.geometry import Region, Size
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.colour import SRGB_PROFILE

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")

RECORD = {
    "computed": True,
    "badge": "COMPUTED ×4 · 0.125 µm/px from native 0.5 · a · research use only",
    "notice": "For research use only.",
    "model": "a",
    "slide_fingerprint": "0123456789abcdef" * 2,
    "region": [100.0, 60.5, 1301 / 4, 701 / 4],
    "output_downsample": 0.25,
    "native_mpp": 0.5,
    "output_mpp": 0.125,
    "time": "2026-11-23T09:08:07+00:00",
}


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Both sides odd, so that OpenSlide gives the coarser levels no whole downsample."""
    return np.rint(pattern(Region(0, 0, 1301, 701), 1.0)).astype(np.uint8)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, image: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("dicom") / "out.dicom"
    export_image(path, image, RECORD, 0.125)
    return path


@pytest.fixture
def folder(tmp_path: Path, written: Path) -> Path:
    """A copy, to be changed."""
    shutil.copy(written.with_name("out.dicom.json"), tmp_path)
    return Path(shutil.copytree(written, tmp_path / "out.dicom"))


@pytest.mark.parametrize("limit", [2**32, 0], ids=["short offsets", "long offsets"])
def test_openslide_reads_the_very_pixels(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(dicom, "_SHORT_OFFSETS", limit)
    path = tmp_path / "out.dicom"
    save_image(path, image, RECORD, 0.125)
    names = sorted(one.name for one in path.iterdir())
    assert names == ["level-0.dcm", "level-1.dcm", "level-2.dcm"]
    levels = [image, *halved(image)]
    for name in names:  # any of them opens all
        with openslide.OpenSlide(path / name) as slide:
            assert slide.properties["openslide.vendor"] == "dicom"
            assert slide.level_dimensions == ((1301, 701), (650, 350), (325, 175))
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.125)
            assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.125)
            for number, level in enumerate(levels if name == names[0] else ()):
                size = level.shape[1], level.shape[0]
                found = np.asarray(slide.read_region((0, 0), number, size))
                assert np.array_equal(found[..., :3], level)
    for file, level in zip(dicom.stored_levels(path), levels, strict=True):
        assert np.array_equal(file[0:9999, 0:9999], level)
        assert np.array_equal(file[100:170, 40:300], level[100:170, 40:300])


def test_it_is_a_derived_series_of_one_pyramid(written: Path) -> None:
    files = [pydicom.dcmread(path) for path in sorted(written.iterdir())]
    assert len({file.SeriesInstanceUID for file in files}) == 1
    assert len({file.PyramidUID for file in files}) == 1
    assert len({file.SOPInstanceUID for file in files}) == len(files)
    for number, file in enumerate(files):
        assert file.ImageType == ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
        assert file.InstanceNumber == number + 1
        shared = file.SharedFunctionalGroupsSequence[0]
        assert shared.WholeSlideMicroscopyImageFrameTypeSequence[0].FrameType == file.ImageType
        spacing = shared.PixelMeasuresSequence[0].PixelSpacing
        assert [float(one) for one in spacing] == pytest.approx([0.000125 * 2**number] * 2)
        assert file.ImagedVolumeWidth == pytest.approx(file.TotalPixelMatrixColumns * spacing[0])
        origin = file.TotalPixelMatrixOriginSequence[0]
        centre = (2**number - 1) / 2 * 0.125  # of a coarser pixel, from that of the finest
        place = (100 - 0.5 + 0.125) * 0.5 + centre, (60.5 - 0.5 + 0.125) * 0.5 + centre
        assert [
            1000 * origin.XOffsetInSlideCoordinateSystem,
            1000 * origin.YOffsetInSlideCoordinateSystem,
        ] == pytest.approx(place)
        assert file.NumberOfFrames == len(list(pydicom.encaps.generate_frames(file.PixelData)))
        profile = file.OpticalPathSequence[0].ICCProfile
        assert profile[: len(SRGB_PROFILE)] == SRGB_PROFILE
        assert RECORD["badge"] in file.DerivationDescription


def test_it_names_no_patient(written: Path) -> None:
    for path in written.iterdir():
        file = pydicom.dcmread(path)
        named = {one.keyword: one.value for one in file if one.tag.group == 0x0010}
        assert set(named) == {"PatientName", "PatientID", "PatientBirthDate", "PatientSex"}
        empty = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")
        assert not any(str(value) for value in named.values())
        assert not any(str(file[keyword].value) for keyword in empty)
        assert not any(one.tag.is_private for one in file)


def test_results_of_one_slide_share_study_and_frame(tmp_path: Path, image: np.ndarray) -> None:
    other = RECORD | {"slide_fingerprint": "f" * 32}
    found = []
    for name, record in (("a", RECORD), ("b", RECORD | {"model": "b"}), ("c", other)):
        save_image(tmp_path / f"{name}.dicom", image[:300, :300], record, 0.125)
        found.append(pydicom.dcmread(tmp_path / f"{name}.dicom" / "level-0.dcm"))
    a, b, c = found
    assert len({one.SeriesInstanceUID for one in found}) == 3
    assert (a.StudyInstanceUID, a.FrameOfReferenceUID) == (
        b.StudyInstanceUID,
        b.FrameOfReferenceUID,
    )
    assert a.StudyInstanceUID != c.StudyInstanceUID
    assert a.FrameOfReferenceUID != c.FrameOfReferenceUID


def test_our_reader_knows_it_as_computed(written: Path, image: np.ndarray) -> None:
    for path in (written, written / "level-1.dcm"):
        with open_slide(path) as slide:
            assert slide.format == "dicom"
            assert slide.computed == RECORD["badge"]
            assert slide.computed_from == RECORD["slide_fingerprint"]
            assert slide.computed_place == (Region(*RECORD["region"]), 0.25)
            assert slide.mpp == pytest.approx(0.125)
            assert np.array_equal(slide.read(Region(0, 0, 1301, 701), 1), image)
    assert checked_record(written).model_dump(mode="json", exclude_unset=True) == json.loads(
        written.with_name("out.dicom.json").read_text(encoding="utf-8")
    )


def test_the_badge_is_known_where_an_archive_took_the_comment(folder: Path) -> None:
    for path in folder.iterdir():
        file = pydicom.dcmread(path)
        del file.ImageComments
        file.save_as(path)
    with open_slide(folder) as slide:
        assert slide.computed == RECORD["badge"]


def test_other_pixels_than_recorded_are_told(folder: Path) -> None:
    coarse = folder / "level-2.dcm"
    data = coarse.read_bytes()
    coarse.write_bytes(data[: len(data) // 2])
    with pytest.raises(SlideError):
        checked_record(folder)
    coarse.unlink()
    with pytest.raises(SlideError, match="not the levels"):
        checked_record(folder)


def test_an_older_one_is_replaced_and_nothing_else(folder: Path, image: np.ndarray) -> None:
    save_image(folder, image[:400, :400], RECORD, 0.125)
    assert [one.name for one in folder.iterdir()] == ["level-0.dcm"]
    (folder / "labels.txt").write_text("mine")
    with pytest.raises(OutputError, match="more than an image that this program wrote"):
        save_image(folder, image, RECORD, 0.125)
    (folder / "labels.txt").unlink()
    scanned = pydicom.dcmread(folder / "level-0.dcm")
    scanned.ImageComments = "of a scanner"
    scanned.save_as(folder / "level-0.dcm")
    with pytest.raises(OutputError, match="more than an image that this program wrote"):
        check_output(folder)


def test_what_dicom_cannot_hold(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.dicom"
    with pytest.raises(OutputError, match="needs the pixel size"):
        save_image(path, image, RECORD, None)
    with pytest.raises(OutputError, match="10240 bytes of provenance"):
        save_image(path, image, RECORD | {"model": "a" * 10_240}, 0.125)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(OutputError, match=r'pip install "napari-cwtnet\[dicom\]"'):
        check_output(path)
    assert not list(tmp_path.iterdir())


def test_a_whole_slide_stopped_and_resumed(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "slide.ome.tif")
    job = Job(slide, str(write_model(tmp_path, 2)), Region(0, 0, 1201, 241), 2.0, device="cpu")
    zarr, output = tmp_path / "blocks.ome.zarr", tmp_path / "out.dicom"
    cancel = CancelToken()

    def stop(what: str, done: int, total: int) -> None:
        if what == "part":
            cancel.cancel("enough")

    with pytest.raises(CancelledError):
        enhance_to_file(job, output, block=BLOCK, cancel=cancel, told=stop)
    assert not output.exists()
    shutil.copytree(tmp_path / ".out.dicom.partial" / "image.ome.zarr", zarr)
    made = enhance_to_file(job, output, block=BLOCK, resume=True)
    assert made.blocks == made.resumed_blocks == 2
    assert not list(tmp_path.glob(".*"))
    with open_slide(zarr) as a, open_slide(output) as b:
        assert b.computed == a.computed
        assert b.size == a.size
        assert [level.size for level in b.levels] == [level.size for level in a.levels]
        assert np.array_equal(b.read(b.bounds, 1), a.read(a.bounds, 1))
    again = enhance_to_file(job, output, block=BLOCK, resume=True)  # reads it all
    assert again.computed_tiles == 0


def test_a_whole_slide_without_pixel_size_is_refused_at_once(tmp_path: Path) -> None:
    bare = tmp_path / "bare.png"
    Image.fromarray(np.full((1100, 1200, 3), 200, np.uint8)).save(bare)
    job = Job(bare, str(write_model(tmp_path, 2)), device="cpu")
    told: list[object] = []
    with pytest.raises(OutputError, match="--mpp"):
        enhance_to_file(job, tmp_path / "out.dicom", told=lambda *words: told.append(words))
    assert not told
    assert not list(tmp_path.glob("*out*"))


def test_resampled_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slide = write_slide(tmp_path / "slide.ome.tif")
    output, tiff = tmp_path / "half.dicom", tmp_path / "half.ome.tif"
    for path in (output, tiff):
        assert main(["resample", str(slide), "--mpp", "0.5", "--output", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["computed"] is False
    with open_slide(output) as found, open_slide(tiff) as known:
        assert found.computed is None
        assert found.mpp == pytest.approx(0.5)
        assert np.array_equal(found.read(found.bounds, 1), known.read(known.bounds, 1))


def test_pixels_that_are_not_square_stay_so(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "out.dicom"
    save_image(path, image, RECORD | {"pixel_aspect": 2.0}, 0.1875)
    with openslide.OpenSlide(path / "level-1.dcm") as slide:
        sides = [float(slide.properties[f"openslide.mpp-{axis}"]) for axis in "xy"]
    assert sides == pytest.approx([0.125, 0.25])
    with open_slide(path) as slide:
        assert slide.pixel_aspect == pytest.approx(2)


@pytest.mark.parametrize(
    ("known", "lossy", "method", "ratio"),
    [
        ({"compression": "jpeg", "quality": 75}, "01", "ISO_10918_1", None),
        ({"compression": "jpeg2000", "rate": 2.0}, "01", "ISO_15444_1", 12.0),
        ({"compression": "none", "kernel_source": "fitted"}, "00", None, None),
        ({"compression": "none", "kernel_source": "read"}, "01", None, None),  # shrunk by us
        (None, "01", None, None),
    ],
)
def test_what_the_slide_lost_is_not_denied(
    known: dict[str, object] | None, lossy: str, method: str | None, ratio: float | None
) -> None:
    header = make_header(0, Size(64, 64), 1, RECORD | {"degradation": known}, 0.125)
    assert header.LossyImageCompression == lossy
    assert header.get("LossyImageCompressionMethod") == method
    assert header.get("LossyImageCompressionRatio") == ratio


def test_each_run_of_resample_is_an_instance_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = write_slide(tmp_path / "slide.ome.tif")
    for name, version in (("a", "1.0"), ("b", "1.1")):
        monkeypatch.setattr("napari_cwtnet.export.resample.__version__", version)
        assert (
            main(
                ["resample", str(slide), "--mpp", "1", "--output", str(tmp_path / f"{name}.dicom")]
            )
            == 0
        )
    first, other = (pydicom.dcmread(tmp_path / f"{name}.dicom" / "level-0.dcm") for name in "ab")
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.StudyInstanceUID == other.StudyInstanceUID


def test_an_image_without_pixel_size_is_refused_before_it_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "bare.png")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed")

    monkeypatch.setattr("napari_cwtnet.cli.enhance.enhance", never)
    words = ["enhance", str(tmp_path / "bare.png"), "--region", "0,0,64,64", "--downsample", "1"]
    words += ["--model", "cwtnet-lite-x2", "--output", str(tmp_path / "out.dicom")]
    assert main(words) == 2
    assert "DICOM needs the pixel size" in capsys.readouterr().err
