"""The choices of the Fine-tune dock: start model, slides, regions, budget, name and the rest."""

from __future__ import annotations

from typing import Any

from napari.layers import Shapes
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFormLayout,
    QLineEdit,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cwtnet.enhancement import list_devices
from napari_cwtnet.model import list_models
from napari_cwtnet.plugin.docks.combo import Combo, sharpness_combo
from napari_cwtnet.plugin.docks.path_field import PathField
from napari_cwtnet.plugin.docks.slide_list import SlideList
from napari_cwtnet.plugin.finetune_choice import FinetuneChoice, free_name
from napari_cwtnet.plugin.model_news import MODEL_NEWS

_TIP = Qt.ItemDataRole.ToolTipRole


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
        self.model, self.regions, self.held_out, self.device = (Combo() for _ in range(4))
        self.sharpness = sharpness_combo()
        self.slides = SlideList()
        self.share, self.minutes = _share_box(), _minutes_box()
        self.name = QLineEdit()
        self.recipe = PathField("Recipe (*.yaml *.yml)", "none")
        self.output = PathField(None, "a new folder among your runs")
        self.more = QToolButton()
        self._tips()
        self._lay_out()
        self._fill_devices()
        self.refresh_models()
        self.show_layers([])
        self._connect()

    @property
    def choice(self) -> FinetuneChoice:
        """What is chosen."""
        return FinetuneChoice(
            self.model.currentText() or None,
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
        """Offer the slides and Shapes layers that there are."""
        self.slides.show_layers(layers)
        shapes = [layer for layer in layers if isinstance(layer, Shapes)]
        for combo, none in ((self.regions, "the whole slide"), (self.held_out, "right-hand part")):
            chosen = combo.currentData()
            with QSignalBlocker(combo):
                combo.clear()
                combo.addItem(none, None)
                for layer in shapes:
                    combo.addItem(f"shapes of {layer.name}", layer)
                found = [i for i, layer in enumerate(shapes, 1) if layer is chosen]
                combo.setCurrentIndex(found[0] if found else 0)
        self.share.setEnabled(self.held_out.currentData() is None)

    def refresh_models(self) -> None:
        """Look again for models; the chosen one stays chosen where it still exists."""
        chosen, models = self.model.currentText(), list_models()
        with QSignalBlocker(self.model):
            self.model.clear()
            for name, path in models.items():
                self.model.addItem(name)
                self.model.setItemData(self.model.count() - 1, str(path), _TIP)
            if chosen in models:
                self.model.setCurrentText(chosen)
        self.model.setEnabled(bool(models))
        self._suggest_name()
        self.changed.emit()

    def _suggest_name(self) -> None:
        self.name.setPlaceholderText(free_name(self.model.currentText()))

    def _connect(self) -> None:
        self.model.opening.connect(self.refresh_models)
        MODEL_NEWS.changed.connect(self.refresh_models)
        self.model.currentIndexChanged.connect(lambda _: self._suggest_name())
        self.held_out.currentIndexChanged.connect(
            lambda _: self.share.setEnabled(self.held_out.currentData() is None)
        )
        for combo in (self.model, self.regions, self.held_out, self.sharpness, self.device):
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
        self.model.setToolTip("The model that goes on learning; it stays as it is")
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
        self.device.setToolTip("Where the model computes")

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

    def _fill_devices(self) -> None:
        devices = list_devices()
        self.device.addItem(f"Auto ({next(iter(devices))})", "auto")
        for name, words in devices.items():
            self.device.addItem(name, name)
            self.device.setItemData(self.device.count() - 1, words, _TIP)


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
