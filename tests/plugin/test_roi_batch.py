"""Several ROIs are enhanced in one go, each into a layer of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cwtnet.enhancement import TileCounts, enhance
from napari_cwtnet.plugin.viewer import requests
from napari_cwtnet.plugin.viewer.compare_pair import label_of
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.export import exportable
from napari_cwtnet.plugin.viewer.selection import MARK_KEY
from napari_cwtnet.slides import open_slide
from plugin.enhance_help import finish, results, wait_for_tiles

BOXES = [(100, 60, 60, 40), (300, 200, 50, 70), (500, 300, 80, 80)]
"""x, y, width and height, level-0 pixels."""


def draw(viewer: Any, boxes: list[tuple[int, int, int, int]], **options: Any) -> Any:
    """A Shapes layer of rectangles over the slide."""
    corners = [np.array([[y, x], [y + h, x + w]]) - 0.5 for x, y, w, h in boxes]
    return viewer.add_shapes(corners, units=("um", "um"), scale=(0.25, 0.25), **options)


def regions(viewer: Any) -> dict[str, list[float]]:
    """Where each result lies, by the end of its name."""
    return {
        layer.name.split(" · ", 3)[-1]: layer.metadata[RESULT_KEY]["region"]
        for layer in results(viewer)
    }


def test_each_selected_shape_gets_a_layer_of_its_own_pixels(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, models: Path, monkeypatch: Any
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    (view,) = results(viewer)
    seen = view.data.copy()
    shapes = draw(viewer, BOXES, features={"name": ["", "Tumor", "Tumor"]})
    shapes.selected_data = {0, 1, 2}
    qtbot.waitUntil(lambda: "3 ROIs: writes 0.125 µm/px" in dock.sentence, timeout=5000)
    said = set()
    count = TileCounts.add
    # A tile takes longer than the window waits between two looks.
    monkeypatch.setattr(TileCounts, "add", lambda *of: (time.sleep(0.1), count(*of)))
    dock.controller.changed.connect(lambda: said.add(dock.status.split(" of 3")[0]))
    outcome = finish(qtbot, dock, dock.enhance_rois)
    assert outcome.sentence.startswith("Done: 3 ROIs, ")
    assert dock.status.startswith("Done: 3 ROIs, ")
    assert any(words.startswith("ROI ") for words in said)
    found = regions(viewer)
    names = dict(zip(["ROI 1", "Tumor", "Tumor (2)"], map(list, BOXES), strict=True))
    assert {name: found[name] for name in names} == names
    assert np.array_equal(view.data, seen)
    for layer in results(viewer)[1:]:
        with open_slide(ome) as slide:
            alone = enhance(
                slide, layer.metadata[RESULT_KEY]["region"], model=models / "tiny-x2.safetensors"
            )
        difference = np.abs(layer.data[..., :3].astype(int) - alone.image)
        assert difference.max() <= 1
        assert exportable(layer)[1]["tiles"] == exportable(layer)[1]["tiles_done"] > 0
    finish(qtbot, dock, dock.enhance_rois)  # the same ROIs again take their layers over
    assert len(results(viewer)) == 4
    shapes.selected_data = {1}
    qtbot.waitUntil(lambda: "2 more shapes are not selected" in dock.sentence, timeout=5000)
    finish(qtbot, dock, dock.enhance_rois)
    assert regions(viewer) == found
    labels = [label_of(layer) for layer in results(viewer)]  # in the list to compare with
    assert labels[1:] == [f"{name} · tiny-x2 · 0.125 µm/px" for name in names]


def test_cancel_keeps_the_rois_that_are_finished(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    shapes = draw(viewer, [BOXES[0], (0, 0, 400, 300), BOXES[2]])
    shapes.selected_data = {0, 1, 2}
    dock.enhance_rois()
    run = dock.controller.run
    qtbot.waitUntil(lambda: run.number == 2 and run.parts[1].done > 2, timeout=60000)
    total = run.total
    with qtbot.waitSignal(dock.controller.ended, timeout=60000) as blocker:
        done = run.done
        dock.cancel_button.click()
    outcome = blocker.args[0]
    assert outcome.kind == "cancelled"
    assert done <= outcome.done <= done + 1
    assert dock.status == f"Cancelled: 1 of 3 ROIs finished, {outcome.done} of {total} tiles kept"
    finished, cut = results(viewer)
    assert finished.name.endswith("ROI 1")
    assert exportable(finished)[1]["region"] == list(BOXES[0])
    assert " · ROI 2 · " in cut.name
    assert cut.name.endswith(" tiles")


def test_a_layer_that_is_kept_or_deleted_amid_the_batch(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    shapes = draw(viewer, [BOXES[0], (0, 0, 400, 300), BOXES[2]])
    shapes.selected_data = {0, 1, 2}
    dock.enhance_rois()
    wait_for_tiles(qtbot, dock, 3)
    qtbot.waitUntil(lambda: len(results(viewer)) == 2, timeout=60000)
    first, second = results(viewer)
    with qtbot.waitSignal(dock.controller.ended, timeout=60000):
        dock.controller.keep(first)
        viewer.layers.remove(second)
    kept, third = results(viewer)
    assert kept.name.endswith("ROI 1 · kept")
    assert third.name.endswith("ROI 3")
    assert dock.status.startswith("Done: 3 ROIs")


def test_an_roi_that_cannot_be_enhanced_is_named(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, dock = enhance_dock(ome)
    shapes = draw(viewer, [BOXES[0], (5000, 5000, 50, 50)])
    shapes.selected_data = {0, 1}
    qtbot.waitUntil(lambda: dock.roi_button.toolTip().startswith("ROI 2: "), timeout=5000)
    assert not dock.roi_button.isEnabled()
    monkeypatch.setattr(requests, "MAX_ROIS", 1)
    dock.show_all()
    assert dock.roi_button.toolTip().startswith("2 ROIs are selected; select at most 1.")


def test_results_go_into_a_folder_with_a_list_of_them(
    enhance_dock: Callable[..., Any],
    qtbot: Any,
    ome: Path,
    tmp_path: Path,
    messages: list[str],
) -> None:
    viewer, dock = enhance_dock(ome)
    folder = tmp_path / "out"
    folder.mkdir()
    dock.result.export_results(folder)
    assert messages[-1] == "There is no result of an ROI; enhance some ROIs first."
    shapes = draw(viewer, BOXES, features={"name": ["a/b", "A:b", ""]})
    shapes.selected_data = {0, 1, 2}
    finish(qtbot, dock, dock.enhance_rois)
    for layer in results(viewer)[:2]:
        squares = [-(-side // 8) for side in layer.data.shape[:2]]
        layer.metadata = {**layer.metadata, MARK_KEY: np.eye(*squares, dtype=bool)}
    with qtbot.waitSignal(dock.result.exporter.ended, timeout=60000):
        dock.result.export_results(folder)
    assert messages[-1] == (
        "Written: 3 results and 2 masks of what not to rely on, listed in rois.json"
    )
    listed = json.loads((folder / "rois.json").read_text(encoding="utf-8"))["rois"]
    assert [(one["name"], one["file"]) for one in listed] == [
        ("a/b", "a_b.ome.tif"),
        ("A:b", "A_b (2).ome.tif"),
        ("ROI 3", "ROI 3.ome.tif"),
    ]
    masks = ["a_b.ome.tif.marked.png", "A_b (2).ome.tif.marked.png"]
    assert [one["mask"] for one in listed] == [*masks, None]
    assert {path.name for path in folder.glob("*.marked.png")} == set(masks)
    for one, layer in zip(listed, results(viewer), strict=True):
        assert one["region"] == layer.metadata[RESULT_KEY]["region"]
        with open_slide(folder / one["file"]) as slide:
            pixels = slide.read_level(0, 0, 0, *slide.size)
        assert np.array_equal(pixels, layer.data[..., :3])
    dock.result.export_results(folder)
    assert "is missing or not empty" in messages[-1]
