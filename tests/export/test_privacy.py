"""Nothing that tells of a patient leaves the slide: no name, no date, no label, in no byte."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from slides.pattern import stored

from napari_cwtnet.enhancement import enhance
from napari_cwtnet.export import export_image
from napari_cwtnet.model import CwtNet, preset, save_weights
from napari_cwtnet.slides import open_slide

PRIVATE = {
    "ScanScope ID": "SS71234",
    "Filename": "DOE-JANE-S26-0815",
    "Date": "11/23/26",
    "Time": "09:08:07",
    "User": "b0e5c3a1-8d5f-4f0e",
    "Barcode": "S26-0815;A1",
    "Patient": "Döring, Jane",
}
NAME = "DOE_JANE_1951-02-03.svs"
OUTPUTS = ("a.png", "a.ome.tif", "a.ome.zarr", "a.dicom")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small-x2.safetensors"
    save_weights(path, CwtNet(preset("lite", 2, blocks=1, channels=8, tile=64, halo=8)), {})
    return path


@pytest.fixture(scope="module")
def aperio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide as Aperio's scanners write it, with a label image."""
    path = tmp_path_factory.mktemp("slides") / NAME
    notes = "|".join(f"{name} = {value}" for name, value in PRIVATE.items())
    description = f"Aperio Image Library v12\r\n731x517 (128x128)|AppMag = 40|MPP = 0.2501|{notes}"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            stored(1), tile=(128, 128), description=description.encode(), software="ScanSoft 3",
            datetime="2026:11:23 09:08:07", compression="jpeg", **options,
        )  # fmt: skip
        label = np.zeros((120, 100, 3), np.uint8)
        writer.write(
            label, rowsperstrip=120, description=b"Aperio Image Library v12\r\nlabel 100x120",
            subfiletype=1, compression="lzw", **options,
        )  # fmt: skip
    return path


def telling(properties: Any) -> set[str]:
    """Values of properties, whole and in parts, that are no bare numbers."""
    parts = [part for text in properties.values() for part in re.split(r"[\r\n|]", text)]
    values = {part.partition(" = ")[2] or part for part in parts} | set(properties.values())
    return {value.strip() for value in values if len(value) > 3 and not is_number(value)}


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def written(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def found(slide_path: Path, model: Path, folder: Path) -> tuple[set[str], bytes]:
    with open_slide(slide_path) as slide:
        result = enhance(slide, (8, 8, 64, 64), 1, model=model, device="cpu")
        secrets = telling(slide.properties) | {slide_path.stem}
    outputs = [name for name in OUTPUTS if result.mpp is not None or name != "a.dicom"]
    for name in outputs:
        export_image(
            folder / name, result.image, result.provenance, result.mpp,
            figures=result.metrics.as_dict(),
        )  # fmt: skip
    assert len(list(folder.iterdir())) == 2 * len(outputs)
    return secrets, written(folder)


def test_nothing_of_an_aperio_slide(aperio: Path, model: Path, tmp_path: Path) -> None:
    secrets, content = found(aperio, model, tmp_path)
    assert set(PRIVATE.values()) <= secrets  # the slide does hold them, and they are looked for
    leaked = [s for s in secrets for code in ("utf-8", "utf-16-le") if s.encode(code) in content]
    assert leaked == []
    assert b"COMPUTED" in content
    for name in PRIVATE:
        assert name.encode() not in content


@pytest.mark.parametrize(
    "name",
    [
        "slides/cmu1_small_svs/CMU-1-Small-Region.svs",
        "slides/tcga_cr7395_svs/tcga-cr-7395-01a-01-ts1.svs",
    ],
)
def test_nothing_of_a_real_slide(data_dir: Any, name: str, model: Path, tmp_path: Path) -> None:
    secrets, content = found(data_dir / name, model, tmp_path)
    assert len(secrets) > 5
    assert [s for s in secrets if s.encode() in content] == []
