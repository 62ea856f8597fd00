"""The choices of the Fine-tune dock: start model, slides, regions, budget, name and the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Shapes
from qtpy.compat import isalive
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cwtnet.errors import SlideError
from napari_cwtnet.plugin.docks.model_form import ModelCombo, device_combo, sharpness_combo
from napari_cwtnet.plugin.docks.widgets import Combo, PathField
from napari_cwtnet.plugin.reader import ask_for_slide
from napari_cwtnet.plugin.tasks.model_list import MODELS
from napari_cwtnet.plugin.tasks.runner import in_background
from napari_cwtnet.plugin.viewer.computed import MARKS_KEY
from napari_cwtnet.plugin.viewer.finetune_request import FinetuneChoice, SlideChoice, free_name
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.slides import open_slide

_DATA = Qt.ItemDataRole.UserRole
_ROW_HEIGHT = 20
_ROWS_SHOWN = 4


class SlideList(QWidget):
    """Open slides by their layers, and files that were added.

    Attributes
    ----------
    changed : Signal
        What is ticked is not what it was.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QListWidget()
        self.list.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.list.setToolTip("Learn from the ticked slides; the others are left alone")
        self.list.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.list.setUniformItemSizes(True)
        self.add_button = QPushButton("Add slide…")
        self.add_button.setToolTip("Learn from a slide that is not open here")
        self.add_button.clicked.connect(lambda _: self._ask())
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(self.add_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.list)
        layout.addLayout(row)
        self._added: list[SlideChoice] = []
        self._unticked: set[tuple[Path, int | None]] = set()
        self.list.itemChanged.connect(self._on_tick)
        self.show_layers([])

    @property
    def ticked(self) -> tuple[SlideChoice, ...]:
        """What is to be learnt from."""
        items = (self.list.item(row) for row in range(self.list.count()))
        return tuple(i.data(_DATA) for i in items if i.checkState() == Qt.CheckState.Checked)

    def show_layers(self, layers: Any) -> None:
        """Offer the slides of these layers, and the added ones; ticks stay as they are."""
        choices: dict[tuple[Path, int | None], SlideChoice] = {}
        for layer in layers:
            slide = slide_of(layer)
            if slide is not None:
                choice = SlideChoice.of(slide, layer)
                choices.setdefault(choice.key, choice)
        for added in self._added:
            choices.setdefault(added.key, added)
        with QSignalBlocker(self.list):
            self.list.clear()
            for choice in choices.values():
                self.list.addItem(self._item(choice))
        rows = min(max(len(choices), 2), _ROWS_SHOWN)
        self.list.setFixedHeight(rows * _ROW_HEIGHT + 2 * self.list.frameWidth() + 4)

    def add_file(self, path: Path) -> None:
        """Offer a slide by its file, once that has been looked into in the background."""

        def look() -> SlideChoice:
            with open_slide(path) as slide:
                if slide.computed is not None:
                    raise SlideError(
                        f"Slide {path.name!r} is itself computed and no truth to learn from; "
                        "choose a slide as it was scanned."
                    )
                return SlideChoice.of(slide)

        def add(choice: SlideChoice) -> None:
            if isalive(self):  # the dock may have been closed meanwhile
                self._added.append(choice)
                self._unticked.discard(choice.key)
                self.changed.emit()

        def end() -> None:
            if isalive(self):
                self.add_button.setEnabled(True)

        in_background(look, add, at_the_end=end)
        self.add_button.setEnabled(False)

    def _ask(self) -> None:
        path = ask_for_slide(self)
        if path is not None:
            self.add_file(path)

    def _item(self, choice: SlideChoice) -> QListWidgetItem:
        item = QListWidgetItem(choice.name)
        item.setData(_DATA, choice)
        ticked = choice.key not in self._unticked and choice.computed is None
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
        item.setToolTip(str(choice.path))
        if choice.computed is not None:
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            item.setToolTip("Itself computed, and no truth to learn from")
        return item

    def _on_tick(self, item: QListWidgetItem) -> None:
        key = item.data(_DATA).key
        if item.checkState() == Qt.CheckState.Checked:
            self._unticked.discard(key)
        else:
            self._unticked.add(key)
        self.changed.emit()


class FinetuneForm(QWidget):
    """Everything that a run depends on.

    Attributes
    ----------
    changed : Signal
        Something else is chosen.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ModelCombo("The model to start from; its file stays as it is")
        self.regions, self.held_out = Combo(), Combo()
        self.sharpness, self.device = sharpness_combo(), device_combo(training=True)
        self.slides = SlideList()
        self.share, self.minutes = _share_box(), _minutes_box()
        self.name = QLineEdit()
        self.recipe = PathField("Recipe (*.yaml *.yml)", "none")
        self.output = PathField(None, "a new folder among your runs")
        self.more = QToolButton()
        self._tips()
        self._lay_out()
        self._suggest_name()
        self.show_layers([])
        self._connect()

    @property
    def choice(self) -> FinetuneChoice:
        """What is chosen."""
        return FinetuneChoice(
            self.model.choice,
            self.slides.ticked,
            self.regions.currentData(),
            self.held_out.currentData(),
            self.share.value() / 100,
            self.minutes.value(),
            self.name.text().strip(),
            self.recipe.path,
            self.output.path,
            self.device.currentData(),
            self.sharpness.currentData(),
        )

    def show_layers(self, layers: Any) -> None:
        """Offer the slides and the user's own Shapes layers."""
        self.slides.show_layers(layers)
        shapes = [
            layer
            for layer in layers
            if isinstance(layer, Shapes) and MARKS_KEY not in layer.metadata
        ]
        for combo, none in ((self.regions, "whole slide"), (self.held_out, "right part")):
            chosen = combo.currentData()
            with QSignalBlocker(combo):
                combo.clear()
                combo.addItem(none, None)
                for layer in shapes:
                    combo.addItem(f"shapes of {layer.name}", layer)
                found = [i for i, layer in enumerate(shapes, 1) if layer is chosen]
                combo.setCurrentIndex(found[0] if found else 0)
        self.share.setEnabled(self.held_out.currentData() is None)

    def _suggest_name(self) -> None:
        self.name.setPlaceholderText(free_name(self.model.currentText()))

    def _connect(self) -> None:
        MODELS.changed.connect(self._suggest_name)
        self.model.changed.connect(self._suggest_name)
        self.model.changed.connect(self.changed)
        self.held_out.currentIndexChanged.connect(
            lambda _: self.share.setEnabled(self.held_out.currentData() is None)
        )
        for combo in (self.regions, self.held_out, self.sharpness, self.device):
            combo.currentIndexChanged.connect(lambda _: self.changed.emit())
        for box in (self.share, self.minutes):
            box.valueChanged.connect(lambda _: self.changed.emit())
        self.name.textChanged.connect(lambda _: self.changed.emit())
        for part in (self.slides, self.recipe, self.output):
            part.changed.connect(self.changed)
        self.more.toggled.connect(self._show_more)

    def _show_more(self, shown: bool) -> None:
        self.more.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        self._rest.setVisible(shown)

    def _tips(self) -> None:
        self.regions.setToolTip(
            "Learn from the bounding boxes of a layer's shapes, or from all tissue of the slides"
        )
        self.held_out.setToolTip(
            "Where the model is measured, and never trained: boxes of a layer's shapes, or the "
            "right-hand part of what is learnt from"
        )
        self.share.setToolTip("How much is kept for measuring")
        self.minutes.setToolTip("Time at work, on this machine; pauses do not count")
        self.name.setToolTip("What the new model is called; do not name patients")
        self.recipe.setToolTip("A YAML file with fields of a recipe, such as learning_rate")
        self.output.setToolTip("Where the run keeps its state, its log and its best model")

    def _lay_out(self) -> None:
        form = _form_layout(self)
        form.addRow("Start model", self.model)
        form.addRow("Slides", self.slides)
        form.addRow("Learn from", self.regions)
        form.addRow("Measure on", self.held_out)
        form.addRow("Held out", self.share)
        form.addRow("Time budget", self.minutes)
        form.addRow("New name", self.name)
        self.more.setText("More")
        self.more.setCheckable(True)
        self.more.setAutoRaise(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._rest = QWidget()
        rest = _form_layout(self._rest)
        rest.addRow("Sharpness", self.sharpness)
        rest.addRow("Device", self.device)
        rest.addRow("Recipe", self.recipe)
        rest.addRow("Output", self.output)
        below = QVBoxLayout()
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.more)
        below.addWidget(self._rest)
        form.addRow(below)
        self._show_more(False)


def _form_layout(parent: QWidget) -> QFormLayout:
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setVerticalSpacing(5)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def _share_box() -> QSpinBox:
    box = QSpinBox()
    box.setRange(5, 90)
    box.setValue(33)
    box.setSuffix(" %")
    return box


def _minutes_box() -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(1)
    box.setRange(0.1, 7 * 24 * 60)
    box.setValue(10)
    box.setSuffix(" min")
    return box
