from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from slides.pattern import HEIGHT, WIDTH, stored

from napari_cwtnet.export import save_image
from napari_cwtnet.plugin.reader import get_reader
from napari_cwtnet.plugin.viewer.badge import OVERLAY
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.slides import Slide

PLUGIN = "napari-cwtnet"


@pytest.mark.parametrize(
    "path", ["a.txt", "missing.svs", "", [], ["missing.svs"], ".", None, 3, "a\0b.svs"]
)
def test_no_reader_for_what_is_no_slide(path) -> None:
    assert get_reader(path) is None


def test_a_list_with_something_else_in_it_has_no_reader(tiff: Path) -> None:
    assert get_reader([str(tiff), "notes.txt"]) is None
    assert get_reader([str(tiff), str(tiff)]) is not None


def test_folders_of_rgb_only(tmp_path: Path) -> None:
    save_image(tmp_path / "rgb.ome.zarr", np.zeros((64, 64, 3), np.uint8), {}, None)
    assert get_reader(str(tmp_path / "rgb.ome.zarr")) is not None
    (tmp_path / "empty.zarr").mkdir()
    zarr.create_array(str(tmp_path / "bare.zarr"), shape=(3, 9, 9), dtype="uint8")
    for name in ("empty.zarr", "bare.zarr", "."):
        assert get_reader(str(tmp_path / name)) is None


def test_layer_is_the_slide_in_micrometres(ome: Path) -> None:
    viewer = ViewerModel()
    (layer,) = viewer.open(ome, plugin=PLUGIN)
    assert layer.name == "pattern.ome"
    assert layer.rgb
    assert layer.multiscale
    assert tuple(layer.contrast_limits) == (0, 255)
    np.testing.assert_allclose(layer.scale, (0.25, 0.25))
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert layer.source.reader_plugin == PLUGIN
    slide = slide_of(layer)
    assert isinstance(slide, Slide)
    assert slide.path == ome
    assert layer.data[0].shape[:2] == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(np.asarray(layer.data[0]), stored(1))


def test_layer_without_pixel_size_is_in_pixels(tiff: Path) -> None:
    (layer,) = ViewerModel().open(tiff, plugin=PLUGIN)
    np.testing.assert_allclose(layer.scale, (1, 1))
    assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]


def test_several_slides_at_once(tiff: Path, ome: Path) -> None:
    layers = ViewerModel().open([tiff, ome], plugin=PLUGIN)
    assert [slide_of(layer).path for layer in layers] == [tiff, ome]


def test_real_slide_is_a_pyramid_although_the_file_has_one_level(svs: Path) -> None:
    (layer,) = ViewerModel().open(svs, plugin=PLUGIN)
    np.testing.assert_allclose(layer.scale, (0.499, 0.499))
    np.testing.assert_array_equal(layer.downsample_factors[:, :2], [[1, 1], [4, 4]])
    slide = slide_of(layer)
    direct = slide.read_level(0, 900, 1000, 200, 100)
    np.testing.assert_array_equal(layer.data[0][1000:1100, 900:1100], direct)
    means = np.asarray(layer.data[1])[250:275, 225:275].astype(float)
    blocks = direct.reshape(25, 4, 50, 4, 3).mean(axis=(1, 3))
    assert np.corrcoef(means.ravel(), blocks.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("kind", ["text", "empty", "cut"])
def test_broken_slide_is_one_line_and_no_layer(
    kind: str, tiff: Path, tmp_path: Path, messages: list[str]
) -> None:
    content = {"text": b"no slide at all", "empty": b"", "cut": tiff.read_bytes()[:2000]}[kind]
    path = tmp_path / "broken.svs"
    path.write_bytes(content)
    viewer = ViewerModel()
    assert viewer.open(path, plugin=PLUGIN) == []
    assert len(viewer.layers) == 0
    (message,) = messages
    assert "broken.svs" in message
    assert "\n" not in message
    assert "Traceback" not in message


def test_real_broken_slides(data_dir, messages: list[str]) -> None:
    folder = data_dir / "slides/tiny_and_broken"
    viewer = ViewerModel()
    for name in ("unopenable.tiff", "unreadable.svs"):
        assert viewer.open(folder / name, plugin=PLUGIN) == []
    assert len(messages) == 2


def test_slide_of_other_layers() -> None:
    layer = ViewerModel().add_image(np.zeros((4, 4)), metadata={"napari_cwtnet": "something"})
    assert slide_of(layer) is None
    assert slide_of(None) is None


def test_duplicate_layer_shows_the_same_slide(tiff: Path) -> None:
    viewer = ViewerModel()
    (layer,) = viewer.open(tiff, plugin=PLUGIN)
    data, state, kind = layer.as_layer_data_tuple()
    copy = viewer.add_image(data, **state)
    assert kind == "image"
    assert slide_of(copy) is slide_of(layer)


def test_file_is_let_go_with_its_layer(tiff: Path) -> None:
    viewer = ViewerModel()
    (layer,) = viewer.open(tiff, plugin=PLUGIN)
    handle = slide_of(layer)._backend._file.filehandle
    assert not handle.closed
    viewer.layers.clear()
    del layer, viewer
    gc.collect()
    assert handle.closed


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
def test_a_computed_image_is_shown_as_computed(
    tmp_path: Path, make_napari_viewer: Callable[..., Any], name: str
) -> None:
    path = tmp_path / name
    badge = "COMPUTED ×2 · 0.25 µm/px from native 0.5 · small · research use only"
    save_image(path, np.full((80, 90, 3), 120, np.uint8), {"badge": badge}, 0.25)
    viewer = make_napari_viewer()
    (layer,) = viewer.open(path, plugin=PLUGIN)  # with no dock there
    assert layer.name == "COMPUTED · out.ome"
    overlay = viewer.canvas.overlays[OVERLAY]
    assert overlay.visible
    assert overlay.text.replace("·", " ").split() == badge.replace("·", " ").split()
    layer.visible = False
    assert not overlay.visible
