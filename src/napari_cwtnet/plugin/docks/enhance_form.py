"""What computes, and from what: model, source level, reference, sharpness, device, precision."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QWidget

from napari_cwtnet.enhancement import list_devices
from napari_cwtnet.model import list_models
from napari_cwtnet.plugin.docks.widgets import Combo, sharpness_combo
from napari_cwtnet.plugin.tasks.finetune import MODEL_NEWS
from napari_cwtnet.plugin.viewer.requests import Choice, source_levels
from napari_cwtnet.slides import Slide

_TIP = Qt.ItemDataRole.ToolTipRole
_REFERENCES = {
    "auto": ("Auto", "The next-higher level at ×4 and ×8, where the slide has one; else none"),
    "next": ("Next-higher level", "The same place, one octave finer than the source level"),
    "none": ("None", "Single-image: the model sees the source level alone"),
}
_PRECISIONS = {
    "auto": ("Auto", "Half where the device is made for it, else float32"),
    "float32": ("float32", "Full: slower on many devices; all of them agree, but for rounding"),
    "bfloat16": ("bfloat16 (half)", "Fast on new processors and NVIDIA devices, else slow"),
    "float16": ("float16 (half)", "Fast on NVIDIA devices, slow on processors"),
}


class EnhanceForm(QWidget):
    """A combo box for each.

    Attributes
    ----------
    changed : Signal
        The user chose something else.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model, self.level, self.reference, self.device = (Combo() for _ in range(4))
        self.precision, self.sharpness = Combo(), sharpness_combo()
        self._scale = QLabel()
        self.level.setToolTip("What the model reads; by itself, so that its output suits the zoom")
        self.reference.setToolTip("A finer image of the same place that the model may borrow from")
        self.device.setToolTip("Where the model computes")
        self.precision.setToolTip("How many bits the model computes with")
        self._scale.setToolTip("Pixels of the result per pixel of the source level, each way")
        self._slide: Slide | None = None
        self._chosen = False
        """Whether the user has chosen a model."""
        self.model.opening.connect(self.refresh_models)
        MODEL_NEWS.changed.connect(self.refresh_models)
        model = QHBoxLayout()
        model.addWidget(self.model, 1)
        model.addWidget(self._scale)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Model", model)
        form.addRow("Source level", self.level)
        form.addRow("Reference", self.reference)
        form.addRow("Sharpness", self.sharpness)
        form.addRow("Device", self.device)
        form.addRow("Precision", self.precision)
        self._fill_fixed()
        self.refresh_models()
        self.model.currentIndexChanged.connect(self._on_model)
        self.level.addItem("Auto, by the zoom", None)
        for combo in (
            self.model, self.level, self.reference, self.sharpness, self.device, self.precision
        ):  # fmt: skip
            combo.currentIndexChanged.connect(lambda _: self.changed.emit())

    @property
    def choice(self) -> Choice:
        """What is chosen."""
        return Choice(
            self.model.currentText() or None,
            self.level.currentData(),
            self.reference.currentData(),
            self.device.currentData(),
            self.precision.currentData(),
            self.sharpness.currentData(),
        )

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
        self.model.setToolTip(
            "The network that computes the finer pixels"
            if models
            else "There is no model in the models folder"
        )
        if self.model.currentText() != chosen:
            self.changed.emit()

    def suggest_model(self, path: Path | None) -> None:
        """Choose this model, unless the user has chosen one."""
        names = [name for name, known in list_models().items() if known == path]
        if names and not self._chosen:
            with QSignalBlocker(self.model):
                self.model.setCurrentText(names[0])

    def set_slide(self, slide: Slide | None) -> None:
        """Offer the levels of a slide."""
        if slide is self._slide:
            return
        self._slide, chosen = slide, self.level.currentData()
        with QSignalBlocker(self.level):
            while self.level.count() > 1:
                self.level.removeItem(1)
            for downsample, words in source_levels(slide) if slide is not None else []:
                self.level.addItem(words, downsample)
            self.level.setCurrentIndex(max(0, self.level.findData(chosen)))

    def set_scale(self, scale: int | None) -> None:
        """Show the factor of the chosen model."""
        self._scale.setText("" if scale is None else f"×{scale}")

    def _on_model(self, _: int) -> None:
        self._chosen = True

    def _fill_fixed(self) -> None:
        for combo, choices in ((self.reference, _REFERENCES), (self.precision, _PRECISIONS)):
            for value, (words, tip) in choices.items():
                combo.addItem(words, value)
                combo.setItemData(combo.count() - 1, tip, _TIP)
        devices = list_devices()
        self.device.addItem(f"Auto ({next(iter(devices))})", "auto")
        for name, words in devices.items():
            self.device.addItem(name, name)
            self.device.setItemData(self.device.count() - 1, words, _TIP)
