"""Make the pictures of the documentation: a real window, a real slide, real models.

    python docs/screenshots.py [FOLDER]

writes into ``docs/images``, or FOLDER. It needs a screen; where there is none:

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

os.environ.setdefault("NAPARI_CONFIG", "")  # pictures show napari's defaults, not somebody's own

WINDOW = (1500, 920)
FIELD = (0.5, 0.42)
"""Where the tissue is that is looked at: parts of the slide's width and height."""
JPEG_FIELD = (1040, 1000, 170, 170)
"""Of the sample slide, level-0 pixels: nuclei and fibres."""
PATIENCE_S = 1200
INSPECTED: dict[bool, dict[str, dict[str, Any]]] = {
    False: {
        "bands": {"show": "bands", "image": "sr", "band": "HH"},
    },
    True: {
        "attention": {"show": "attention", "block": 4},
        "matches": {"show": "displacement", "block": 4},
        "probe": {"show": "probe", "block": 4},
    },
}
"""Pictures by a model for use, and by one for looking inside, which searches."""


def main() -> int:
    """Open, look, enhance, take the pictures."""
    from napari_cwtnet.plugin.app import napari_available

    reason = napari_available()
    if reason is not None:
        print(f"No pictures: {reason}", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "images")
    folder.mkdir(parents=True, exist_ok=True)
    take_jpeg_picture(folder)
    take_pictures(folder)
    return 0


def take_jpeg_picture(folder: Path) -> None:
    """The sample slide, JPEG of quality 30 at 20×, enlarged to 40× and computed."""
    from napari_cwtnet import enhance, open_slide
    from napari_cwtnet.enhancement import enlarged
    from napari_cwtnet.export import labelled, side_by_side
    from napari_cwtnet.export.save import magnified_centre

    with open_slide(slide_path()) as slide:
        made = enhance(slide, JPEG_FIELD, 1.0, model="cwtnet-lite-x2")
        plain = enlarged(slide, made.plan, reference=False)
    columns = (
        (plain, ["The slide, 20×, JPEG 30", "enlarged to 40× (bicubic)"], False),
        (made.image, ["COMPUTED 40× from 20×", "cwtnet-lite-x2, research use only"], True),
    )
    picture = side_by_side(
        [
            labelled(magnified_centre(image, 300, 2), words, computed=computed)
            for image, words, computed in columns
        ]
    )
    Image.fromarray(picture).save(folder / "jpeg.jpg", quality=92)
    print(folder / "jpeg.jpg")


def take_pictures(folder: Path) -> None:
    """Every picture, one after another, out of one session."""
    from qtpy.QtWidgets import QScrollArea

    from napari_cwtnet.model import list_models
    from napari_cwtnet.plugin.app import ENHANCE, PLUGIN, SLIDE, start
    from napari_cwtnet.plugin.viewer.slide_layer import slide_of
    from napari_cwtnet.plugin.viewer.viewport import look_at, zoom_to

    viewer = start(slide_path())
    viewer.window.resize(*WINDOW)
    wait_until(lambda: len(viewer.layers) == 1)
    slide_frame, _ = viewer.window.add_plugin_dock_widget(PLUGIN, SLIDE)
    enhance_frame, dock = viewer.window.add_plugin_dock_widget(PLUGIN, ENHANCE)
    viewer.reset_view()
    pump(2)
    layer = viewer.layers[0]
    size = slide_of(layer).size
    look_at(viewer, layer, FIELD[0] * size.width, FIELD[1] * size.height)

    def shoot(name: str) -> None:
        pump(1)
        picture = viewer.screenshot(canvas_only=False, flash=False)
        # JPEG: tissue fills the window, and a new set of PNGs would add megabytes to the history.
        options = {"quality": 78, "optimize": True, "progressive": True}
        Image.fromarray(picture[..., :3]).save(folder / f"{name}.jpg", **options)
        print(folder / f"{name}.jpg")

    zoom_to(viewer, layer, 1.0)
    slide_frame.raise_()
    shoot("slide")

    enhance_frame.raise_()
    ended: list[Any] = []
    dock.controller.ended.connect(ended.append)
    dock.checker.ended.connect(ended.append)
    model = next((model for model in list_models() if model.endswith("x2")), None)
    if model is None:
        print("enhance: no model for ×2", file=sys.stderr)
    else:
        dock.form.model.setCurrentText(model)
        for name, begin, pixel in (
            ("enhance-checked", dock.check_here, 1.0),
            ("enhance", dock.enhance_view, 0.5),
        ):
            zoom_to(viewer, layer, pixel)
            pump(1)
            ended.clear()
            begin()
            wait_until(lambda: bool(ended))
            pump(1)
            bar = dock.findChild(QScrollArea).verticalScrollBar()
            bar.setValue(bar.maximum() if name == "enhance-checked" else 0)  # figures are the last
            shoot(name)
    take_mark_picture(dock, shoot)
    take_compare_pictures(dock, shoot)
    take_inspect_pictures(viewer, layer, shoot)
    take_finetune_pictures(viewer, shoot)
    viewer.close()


def take_mark_picture(dock: Any, shoot: Callable[[str], None]) -> None:
    """The parts of the result that are not to be relied on."""
    form = dock.panel.mark
    form.box.setChecked(True)
    wait_until(lambda: " marked. " in form.words)
    shoot("mark")
    form.stop()


def take_compare_pictures(dock: Any, shoot: Callable[[str], None]) -> None:
    """The ways of comparing the result that is shown, if there is one, with its slide."""
    comparer = dock.compare.comparer
    if comparer.hindrance:
        return
    for mode in ("split", "difference"):
        comparer.choose(mode)
        if mode == "difference":
            wait_until(lambda: comparer.difference.layer is not None)
        shoot(f"compare-{mode}")
    comparer.choose(None)


def take_inspect_pictures(viewer: Any, layer: Any, shoot: Callable[[str], None]) -> None:
    """What can be seen of one field: a map of each kind, and one patch that was asked."""
    from napari_cwtnet.model import list_models
    from napari_cwtnet.model.weights import read_header
    from napari_cwtnet.plugin.app import INSPECT, PLUGIN
    from napari_cwtnet.plugin.viewer.viewport import zoom_to

    models = {name: read_header(path) for name, path in list_models().items()}
    chosen = {
        wanted: next(
            (n for n, m in models.items() if m.scale == 4 and bool(m.purpose) == wanted), ""
        )
        for wanted in (False, True)
    }
    if not all(chosen.values()):
        print("inspect: no model for ×4, or none for looking inside", file=sys.stderr)
        return
    del viewer.layers[1:]
    frame, dock = viewer.window.add_plugin_dock_widget(PLUGIN, INSPECT)
    frame.raise_()
    for wanted, pictures in INSPECTED.items():
        dock.form.model.setCurrentText(chosen[wanted])
        # Nuclei are to be several LR pixels wide, to see what their matches do.
        zoom_to(viewer, layer, 0.5 if wanted else 1.0)
        pump(1)
        dock.inspect_view()
        wait_until(lambda: not dock.controller.busy)
        print(dock.said)
        for name, choices in pictures.items():
            dock.looking.choose(**choices)
            if name == "probe":
                region = dock.captured.field.plan.region
                dock.ask(region.x + 0.45 * region.width, region.y + 0.4 * region.height)
            wait_until(lambda: not dock.controller.busy)
            shoot(f"inspect-{name}")


def take_finetune_pictures(viewer: Any, shoot: Callable[[str], None]) -> None:
    """The Fine-tune dock some minutes into a run; what it learns is thrown away."""
    from napari_cwtnet.plugin.app import FINETUNE, PLUGIN
    from napari_cwtnet.plugin.tasks.model_list import MODELS

    del viewer.layers[1:]
    frame, dock = viewer.window.add_plugin_dock_widget(PLUGIN, FINETUNE)
    frame.raise_()
    viewer.reset_view()
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.yaml"
        recipe.write_text("validate_every: 25\n", encoding="utf-8")  # more points in little time
        os.environ["CWTNET_RUNS"] = os.environ["CWTNET_MODELS"] = folder
        MODELS.load()
        dock.form.model.setCurrentText("cwtnet-lite-x2")
        dock.form.recipe.line.setText(str(recipe))
        dock.start()
        run = dock.controller.run
        wait_until(lambda: len(run.history.validations) > 2 or run.outcome is not None)
        wait_until(lambda: run.measured == (0, 0) or run.outcome is not None)
        shoot("fine-tune")
        print(dock.panel.gain.text())
        dock.controller.cancel()
        wait_until(lambda: not dock.controller.busy)


def slide_path() -> Path:
    """The sample slide: of the test data where those are at hand, else fetched."""
    from napari_cwtnet.slides import sample_slide
    from napari_cwtnet.slides.sample import SAMPLE_NAME

    data = os.environ.get("CWTNET_TEST_DATA")
    copies = sorted(Path(data).rglob(SAMPLE_NAME)) if data else []
    return copies[0] if copies else sample_slide()


def pump(seconds: float) -> None:
    """Let the window live for a while."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def wait_until(condition: Callable[[], bool]) -> None:
    """Let the window live until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not done within {PATIENCE_S} s")
        pump(0.05)


if __name__ == "__main__":
    raise SystemExit(main())
