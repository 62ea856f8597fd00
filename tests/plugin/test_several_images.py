"""A file of several images in the window: the one that is shown is the one that is read."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from export.whole_help import without_time
from napari.layers import Image
from slides.test_pyramids import picture

from napari_cwtnet import open_slide
from napari_cwtnet.cli import main
from napari_cwtnet.errors import RequestError
from napari_cwtnet.plugin.docks.finetune_form import SlideList
from napari_cwtnet.plugin.docks.slide_form import ImageChooser
from napari_cwtnet.plugin.tasks.slide_memory import SLIDES
from napari_cwtnet.plugin.viewer.command_line import check_words, inspect_words
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.finetune_request import (
    FinetuneChoice,
    finetune_plan,
    finetune_words,
)
from napari_cwtnet.plugin.viewer.selection import source_of
from napari_cwtnet.plugin.viewer.slide_layer import slide_layer, slide_of
from napari_cwtnet.plugin.viewer.whole_slide import file_job
from plugin.enhance_help import finish, results
from plugin.test_slide_dock import enter_mpp
from plugin.test_whole_slide import finish as finish_whole
from plugin.test_whole_slide import form_of, go_to

DockOf = Callable[..., Any]
SMALL, LARGE = picture(420, 330)[::-1], picture(700, 500)
"""Numbers 0 and 1; the larger one is shown unless one asks for the other."""
OTHER, OWN = 0, 1
LONG = "Prostate biopsy, section 12 of 14, H&E, rescan"


@pytest.fixture
def both(tmp_path: Path) -> Path:
    path = tmp_path / "both.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for image, name, mpp in ((SMALL, "second tissue", 0.25), (LARGE, LONG, 0.5)):
            meta = {"axes": "YXS", "Name": name, "PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
            writer.write(image, tile=(128, 128), photometric="rgb", metadata=meta)
    return path


@pytest.fixture
def two_in_zarr(tmp_path: Path) -> Path:
    path = tmp_path / "two.ome.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    axes, images = [{"name": one} for one in "yxc"], []
    for name, pixels in (("a", LARGE), ("b", SMALL)):
        group.create_array(name, data=pixels, chunks=(128, 128, 3))
        images.append({"name": name, "version": "0.4", "axes": axes, "datasets": [{"path": name}]})
    group.attrs["multiscales"] = images
    return path


def choose(qtbot: Any, viewer: Any, dock: Any, number: int, layers: int = 2) -> Any:
    """Choose an image as a person would; gives its slide once it is shown."""
    combo = dock.form.image.combo
    combo.setCurrentIndex(number)
    combo.activated.emit(number)
    qtbot.waitUntil(lambda: slide_of(dock.layer).image == number, timeout=20000)
    qtbot.waitUntil(dock.form.open.isEnabled, timeout=20000)
    qtbot.waitUntil(lambda: dock.form.overview.has_picture, timeout=20000)
    assert len(viewer.layers) == layers
    return slide_of(dock.layer)


def shown(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers if layer.visible]


def test_one_is_chosen_and_everything_follows(dock_of: DockOf, qtbot: Any, both: Path) -> None:
    viewer, dock = dock_of(both)
    form = dock.form
    assert form.form.isRowVisible(form.image)
    assert form.image.combo.currentText() == "2 of 2"
    assert form.image.words.text() == f"700 × 500 pixels ({LONG})"
    assert "--image 0" in form.image.combo.itemData(0, 3)  # its tip
    assert not form.form.isRowVisible(form.note)  # it would say the same once more
    assert dock.copy_command() == f"napari-cwtnet info {both}"
    slide = choose(qtbot, viewer, dock, OTHER)
    assert form.image.combo.currentText() == "1 of 2"
    assert form.size.text() == "420 × 330 px\n0.105 × 0.0825 mm"
    assert form.mpp.text() == "0.2500 µm/px"
    assert form.levels.item(0, 2).text() == "420 × 330"
    assert np.array_equal(slide.read(slide.bounds, 1), SMALL)
    assert np.array_equal(np.asarray(dock.layer.data[-1]), SMALL)
    assert shown(viewer) == ["both.ome · 1 of 2"]
    assert [form.slides.itemText(i) for i in (0, 1)] == [both.name, f"{both.name} · 1 of 2"]
    assert dock.copy_command() == f"napari-cwtnet info {both} --image 0"
    choose(qtbot, viewer, dock, OWN)  # the layer that is there already
    assert shown(viewer) == ["both.ome"]
    choose(qtbot, viewer, dock, OTHER)
    assert shown(viewer) == ["both.ome · 1 of 2"]


def test_a_file_of_one_image_offers_none(dock_of: DockOf, svs: Path) -> None:
    _, dock = dock_of(svs)
    assert not dock.form.form.isRowVisible(dock.form.image)


def test_of_an_ome_zarr(dock_of: DockOf, qtbot: Any, two_in_zarr: Path) -> None:
    viewer, dock = dock_of(two_in_zarr)
    slide = choose(qtbot, viewer, dock, 1)
    assert np.array_equal(slide.read(slide.bounds, 1), SMALL)
    assert dock.form.image.words.text() == "b"


def test_of_a_stack_each_plane_must_be_asked_for(
    dock_of: DockOf, qtbot: Any, tmp_path: Path
) -> None:
    path = tmp_path / "stack.ome.tif"
    planes = np.stack([LARGE, LARGE[::-1]])
    tifffile.imwrite(path, planes, ome=True, photometric="rgb", metadata={"axes": "ZYXS"})
    viewer, dock = dock_of()
    dock.open_slide(path, 0)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=20000)
    assert "--image 0" in dock.copy_command()
    enter_mpp(dock, qtbot, "0.3")  # opened once more
    assert slide_of(dock.layer).image == 0
    slide = choose(qtbot, viewer, dock, 1)
    assert np.array_equal(slide.read(slide.bounds, 1), LARGE[::-1])
    assert path not in SLIDES.recent  # the menu chooses no image


def test_a_pixel_size_is_that_of_one_image(dock_of: DockOf, qtbot: Any, both: Path) -> None:
    viewer, dock = dock_of(both)
    choose(qtbot, viewer, dock, OTHER)
    enter_mpp(dock, qtbot, "0.3")
    assert (slide_of(dock.layer).image, slide_of(dock.layer).mpp) == (OTHER, 0.3)
    assert choose(qtbot, viewer, dock, OWN).mpp == 0.5
    viewer.layers.clear()
    dock.open_slide(both)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=20000)
    assert slide_of(dock.layer).mpp == 0.5
    assert choose(qtbot, viewer, dock, OTHER).mpp == 0.3  # known again


def test_one_that_cannot_be_shown_is_one_line(
    dock_of: DockOf, qtbot: Any, tmp_path: Path, messages: list[str]
) -> None:
    path = tmp_path / "channels.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(LARGE, tile=(128, 128), photometric="rgb", metadata=None)
        spectra = np.zeros((64, 64, 7), np.uint8)
        writer.write(spectra, photometric="minisblack", planarconfig="contig", metadata=None)
    viewer, dock = dock_of(path)
    assert dock.form.image.combo.count() == 2
    messages.clear()
    dock.form.image.combo.setCurrentIndex(1)
    dock.form.image.combo.activated.emit(1)
    assert not dock.form.image.isEnabled()
    qtbot.waitUntil(dock.form.open.isEnabled, timeout=20000)
    assert len(messages) == 1
    assert "\n" not in messages[0]
    assert len(viewer.layers) == 1
    assert dock.form.image.combo.currentText() == "1 of 2"
    assert dock.form.image.isEnabled()


def test_a_recent_slide_is_opened_as_it_opens_by_itself(
    dock_of: DockOf, qtbot: Any, both: Path
) -> None:
    SLIDES.note_opened(both)
    viewer, dock = dock_of()
    qtbot.waitUntil(dock.form.recent.isEnabled, timeout=20000)
    dock._show_recent()
    dock.form.recent_menu.actions()[0].trigger()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=20000)
    assert slide_of(dock.layer).image == OWN


def test_the_chooser_in_a_narrow_dock(qtbot: Any) -> None:
    chooser = ImageChooser()
    qtbot.addWidget(chooser)
    chooser.resize(150, 100)
    images = (f"46000 × 32914 pixels ({LONG})", "420 × 330 pixels")
    chooser.show_images(images * 6, 10)
    chooser.show()
    qtbot.wait(100)
    combo, words = chooser.combo, chooser.words
    assert combo.currentText() == "11 of 12"
    assert combo.fontMetrics().horizontalAdvance("11 of 12") < combo.width() - 40
    assert words.height() >= words.heightForWidth(words.width())
    assert words.y() >= combo.geometry().bottom()
    combo.showPopup()
    qtbot.wait(100)
    needed = combo.fontMetrics().horizontalAdvance(f"11 of 12 · {images[0]}")
    assert combo.view().width() >= needed
    combo.hidePopup()


def test_enhance_and_its_command(
    enhance_dock: DockOf, qtbot: Any, both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, dock = enhance_dock(both)
    assert "--image" not in dock.result.copy_command()
    _, slide_dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Slide")
    choose(qtbot, viewer, slide_dock, OTHER)
    viewer.scene.camera.zoom *= 3
    finish(qtbot, dock)
    (layer,) = results(viewer)
    assert "both.ome · 1 of 2" in layer.name
    job, slide = source_of(layer).job, slide_of(slide_dock.layer)
    for words in (check_words(job, slide), inspect_words(job, slide)):
        assert words[2:4] == ["--image", "0"]
    line = dock.result.copy_command()
    assert f" enhance {both} --image 0 --region" in line
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(line)[1:-1], "same.png"]) == 0
    with open_slide(tmp_path / "same.png") as same:
        assert np.array_equal(same.read(same.bounds, 1), layer.data[..., :3])
    with open_slide(both, image=OTHER) as slide:
        assert layer.metadata[RESULT_KEY]["slide_fingerprint"] == slide.fingerprint


def test_a_whole_slide(enhance_dock: DockOf, qtbot: Any, both: Path, tmp_path: Path) -> None:
    viewer, dock = enhance_dock(both)
    _, slide_dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Slide")
    choose(qtbot, viewer, slide_dock, OTHER)
    form = form_of(qtbot, dock)
    assert "both-1-of-2-computed-" in form.line.text()
    place = tmp_path / "window.ome.zarr"
    go_to(qtbot, form, place)
    assert file_job(form._job[0]).image == OTHER
    line = form.copy_command()
    assert finish_whole(qtbot, form) == "done"
    words = shlex.split(line.replace("window", "shell"))[1:]
    assert main(words) == 0
    assert without_time(place) == without_time(tmp_path / "shell.ome.zarr")


def test_fine_tuning(qtbot: Any, both: Path, models: Path, tmp_path: Path) -> None:
    offered = SlideList()
    qtbot.addWidget(offered)
    layers = []
    for image in (OWN, OTHER):
        levels, settings = slide_layer(open_slide(both, image=image))
        layers.append(Image(levels, **settings))
    offered.show_layers(layers)
    own, other = offered.ticked
    assert (own.image, other.image) == (None, OTHER)
    offered.list.item(0).setCheckState(offered.list.item(0).checkState().Unchecked)
    offered.show_layers(layers)
    assert offered.ticked == (other,)  # the other stays ticked
    plan = finetune_plan(FinetuneChoice("tiny-x2", (other,), output=tmp_path / "run"))
    assert [source.image for source in plan.recipe.slides] == [OTHER]
    words = finetune_words(plan, None)
    assert words[words.index("--image") + 1] == "0"
    plan = finetune_plan(FinetuneChoice("tiny-x2", (own,), output=tmp_path / "run"))
    assert plan.recipe.slides[0].image is None
    assert "--image" not in finetune_words(plan, None)
    plan = finetune_plan(FinetuneChoice("tiny-x2", (own, other), output=tmp_path / "run"))
    with pytest.raises(RequestError, match=r"'both.ome · 1 of 2': its image, .* recipe\.yaml"):
        finetune_words(plan, None)
