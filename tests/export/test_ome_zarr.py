"""OME-Zarr that others can read: by the specification's own model, in µm, in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaozarrs
import zarr

from export.test_image import PLACE, RECORD
from napari_cwtnet.errors import OutputError
from napari_cwtnet.export import save_image


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (701, 2301, 3), np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, image: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("zarr") / "out.ome.zarr"
    save_image(path, image, RECORD, 0.125)
    return path


def attributes(store: Path) -> dict[str, Any]:
    return dict(zarr.open_group(store, mode="r").attrs)


def test_is_valid_ngff(store: Path) -> None:
    yaozarrs.validate_zarr_store(str(store))
    assert attributes(store)["ome"]["version"] == "0.5"
    assert zarr.open_group(store, mode="r").metadata.zarr_format == 3


def test_pixels_and_pyramid(store: Path, image: np.ndarray) -> None:
    group = zarr.open_group(store, mode="r")
    assert [group[name].shape for name in "0123"] == [
        (3, 701, 2301), (3, 350, 1150), (3, 175, 575), (3, 87, 287),
    ]  # fmt: skip
    assert np.array_equal(group["0"][:], image.transpose(2, 0, 1))
    corner = image[:2, :2].reshape(4, 3).mean(axis=0)
    assert np.abs(group["1"][:, 0, 0] - corner).max() <= 0.5
    assert group["0"].metadata.dimension_names == ("c", "y", "x")


def test_every_level_lies_over_the_first(store: Path) -> None:
    (multiscale,) = attributes(store)["ome"]["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == ["c", "y", "x"]
    assert [axis.get("unit") for axis in multiscale["axes"]] == [None, "micrometer", "micrometer"]
    edges = []
    for number, dataset in enumerate(multiscale["datasets"]):
        scale, translation = dataset["coordinateTransformations"]
        pixel, first = np.array(scale["scale"][1:]), np.array(translation["translation"][1:])
        assert list(pixel) == [0.125 * 2**number] * 2
        edges.append(first - pixel / 2)
        if number == 0:
            assert list(first[::-1]) == list(PLACE)
    assert np.ptp(edges, axis=0) == pytest.approx(0, abs=1e-12)


def test_shown_as_colour_and_known_as_computed(store: Path) -> None:
    found = attributes(store)
    assert found["napari_cwtnet"] == RECORD
    assert found["ome"]["multiscales"][0]["name"] == RECORD["badge"]
    assert [c["color"] for c in found["ome"]["omero"]["channels"]] == ["FF0000", "00FF00", "0000FF"]


def test_without_a_pixel_size(tmp_path: Path, image: np.ndarray) -> None:
    save_image(tmp_path / "out.ome.zarr", image[:100, :100], RECORD, None)
    yaozarrs.validate_zarr_store(str(tmp_path / "out.ome.zarr"))
    (multiscale,) = attributes(tmp_path / "out.ome.zarr")["ome"]["multiscales"]
    assert not any("unit" in axis for axis in multiscale["axes"])
    scale, translation = multiscale["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [1, 0.25, 0.25]  # level-0 pixels
    assert translation["translation"] == [0, 60.5 - 0.375, 100 - 0.375]


def test_replaces_its_own_and_nobody_else_s(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "out.ome.zarr"
    save_image(path, image, RECORD, 0.125)
    save_image(path, image[:64, :64], RECORD, 0.125)
    assert zarr.open_group(path, mode="r")["0"].shape == (3, 64, 64)
    assert "1" not in zarr.open_group(path, mode="r")
    assert [found.name for found in tmp_path.iterdir()] == ["out.ome.zarr"]
    other = tmp_path / "other.ome.zarr"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    labels = path / "labels" / "nuclei"
    labels.mkdir(parents=True)
    for taken in (other, path):
        with pytest.raises(OutputError, match="more than an image that this program wrote"):
            save_image(taken, image, RECORD, 0.125)
    assert (other / "thesis.txt").read_text() == "years of work"
    assert labels.is_dir()
    with pytest.raises(OutputError, match="inside a Zarr image"):
        save_image(path / "in.png", image, RECORD, 0.125)
