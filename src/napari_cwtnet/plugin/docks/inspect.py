"""The Inspect dock: captures the view, shows what is chosen of it, and asks single patches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.inspection import Map, Probe
from napari_cwtnet.plugin.docks.enhance_form import EnhanceForm
from napari_cwtnet.plugin.docks.inspect_form import LookingForm
from napari_cwtnet.plugin.docks.map_legend import MapLegend
from napari_cwtnet.plugin.docks.scrolling import scrolling
from napari_cwtnet.plugin.engines import Engines
from napari_cwtnet.plugin.enhance_choice import chosen_header
from napari_cwtnet.plugin.following import slide_layer_in
from napari_cwtnet.plugin.inspect_choice import Looking, field_job
from napari_cwtnet.plugin.inspect_run import Ending, Task
from napari_cwtnet.plugin.inspect_work import Captured, ask_patch, capture_field, make_map
from napari_cwtnet.plugin.inspecting import Inspector
from napari_cwtnet.plugin.map_layers import MapLayers
from napari_cwtnet.plugin.slide_layer import slide_of
from napari_cwtnet.plugin.viewport import place_at

REST_MS = 250


class InspectDock(QWidget):
    """Look inside the network, over what is on the screen.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.controller = Inspector(self)
        self.layers = MapLayers(napari_viewer)
        self.captured: Captured | None = None
        self._captured_over: Any = None
        self._spread: NDArray[Any] | None = None
        self._place: tuple[float, float] | None = None
        self._engines = Engines()
        self._layer: Any = None
        self._build()
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._on_rest)
        self._connect()
        self._on_rest()
        self._show_work()

    def inspect_view(self) -> None:
        """Capture what the canvas shows."""
        layer = self._layer = slide_layer_in(self._viewer, self._layer)
        try:
            job, _, _ = field_job(self._viewer, layer, self.form.choice)
        except CwtnetError as error:
            show_error(str(error))
            self._on_rest()
            return

        def answer(captured: Captured) -> None:
            self.captured, self._captured_over = captured, layer
            self._spread = self._place = None
            self._said.setText(captured.sentence)
            self._said.show()
            self.looking.offer(captured)
            self._show_map()

        engines = self._engines
        self.controller.start(
            Task("Capturing…", lambda *a: capture_field(engines, job, *a), answer)
        )

    def ask(self, x: float, y: float) -> None:
        """Probe the patch at a place, level-0 pixels."""
        captured, block = self.captured, self.looking.looking.block or 1
        if captured is None:
            return
        self._place = (x, y)

        def answer(found: tuple[Probe, Map]) -> None:
            asked, shown = found
            self._show_layer(shown)
            self.layers.show_patches(captured.field, asked)

        self.controller.start(
            Task(
                "Asking one patch…",
                lambda *_: ask_patch(self._engines, captured, x, y, block),
                answer,
            )
        )

    @property
    def sentence(self) -> str:
        """What would be captured, or why nothing can, as shown."""
        return self._sentence.text()

    @property
    def said(self) -> str:
        """What the model gains on this field, as shown."""
        return self._said.text()

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """End the work when the dock is taken out of its window."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.controller.cancel()

    def _show_map(self) -> None:
        """Bring what is chosen on the canvas, once it is computed."""
        captured, looking = self.captured, self.looking.looking
        if captured is None:
            return
        if looking.show == "probe":
            if self._place is None:
                self._clear()
            else:
                self.ask(*self._place)
            return
        known = self._spread
        words = "Turning and flipping…" if _wants_spread(looking) else "Making the map…"

        def answer(found: tuple[Map | None, NDArray[Any] | None]) -> None:
            shown, self._spread = found
            if shown is None:
                self._clear()
                return
            self._show_layer(shown)
            if looking.show == "displacement":
                self.layers.show_steps(captured.field, looking.block or 1)

        self.controller.start(
            Task(
                words,
                lambda *a: make_map(self._engines, captured, looking, *a, turned=known),
                answer,
            )
        )

    def _show_layer(self, shown: Map) -> None:
        if self.captured is None or self._captured_over not in self._viewer.layers:
            return
        self.layers.show(self._captured_over, shown, self.captured.field.plan.badge)
        self.legend.show_map(shown)

    def _build(self) -> None:
        self.view_button = QPushButton("Inspect view")
        self.cancel_button = QPushButton("Cancel")
        self.clear_button = QPushButton("Clear map")
        self.clear_button.setToolTip("Take the map off the canvas; the field is kept")
        self.form, self.looking, self.legend = EnhanceForm(), LookingForm(), MapLegend()
        self._sentence, self._status, self._said = _words(), _words(), _words()
        self._said.setStyleSheet("font-weight: 600;")
        self._said.hide()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(6)
        policy = self._bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self._bar.setSizePolicy(policy)
        buttons = QHBoxLayout()
        buttons.addWidget(self.clear_button, 1)
        buttons.addWidget(self.cancel_button, 1)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.view_button)
        layout.addLayout(buttons)
        for part in (self._sentence, self.form, self._bar, self._status, self._said):
            layout.addWidget(part)
        layout.addWidget(self.looking)
        layout.addWidget(self.legend)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content))
        self.setMinimumWidth(300)

    def _connect(self) -> None:
        self.view_button.clicked.connect(lambda _: self.inspect_view())
        self.cancel_button.clicked.connect(lambda _: self.controller.cancel())
        self.clear_button.clicked.connect(lambda _: self._clear())
        self.form.changed.connect(self._on_rest)
        self.looking.changed.connect(self._show_map)
        self.controller.changed.connect(self._show_work)
        self.controller.ended.connect(self._show_ending)
        viewer = self._viewer
        for event in (
            viewer.scene.camera.events.center,
            viewer.scene.camera.events.zoom,
            viewer.canvas.events.size,
            viewer.dims.events.ndisplay,
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            viewer.layers.selection.events.active,
        ):
            event.connect(self._on_change)
        viewer.mouse_drag_callbacks.append(self._on_press)
        # napari's events outlive the widget, and a method of a deleted widget must not be called.
        gone = self._gone = threading.Event()
        self.destroyed.connect(lambda *_: gone.set())

    def _clear(self) -> None:
        self.layers.clear()
        self.legend.hide()

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        """A click, not a drag, asks the patch under it while probing."""
        yield
        dragged = False
        while event.type == "mouse_move":
            dragged = True
            yield
        layer = self._captured_over
        if dragged or self._gone.is_set() or self.captured is None or layer not in viewer.layers:
            return
        active = viewer.layers.selection.active
        panning = active is None or str(active.mode) == "pan_zoom"
        if self.looking.looking.show == "probe" and self.looking.isVisible() and panning:
            self.ask(*place_at(viewer, layer, event.position))

    def _on_change(self, *_: Any) -> None:
        if not self._gone.is_set():
            self._rest.start()

    def _on_rest(self) -> None:
        """Say what would be captured now."""
        layer = self._layer = slide_layer_in(self._viewer, self._layer)
        self.form.set_slide(slide_of(layer))
        try:
            _, _, sentence = field_job(self._viewer, layer, self.form.choice)
        except CwtnetError as error:
            sentence, can = str(error), False
        else:
            can = True
        self._sentence.setText(sentence)
        self.view_button.setEnabled(can)
        self.view_button.setToolTip(sentence)
        try:
            self.form.set_scale(chosen_header(self.form.choice).scale)
        except CwtnetError:
            self.form.set_scale(None)

    def _show_work(self) -> None:
        """Show what is at work."""
        controller = self.controller
        self.cancel_button.setEnabled(controller.busy)
        self._bar.setVisible(controller.busy)
        done, total = controller.progress
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        if controller.busy:
            self._status.setText(controller.words)

    def _show_ending(self, ending: Ending) -> None:
        self._status.setText(
            {"done": "", "cancelled": "Cancelled", "failed": ending.message}[ending.kind]
        )


def _wants_spread(looking: Looking) -> bool:
    return looking.show == "trust" and looking.trust == "spread"


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return label
