"""What computes, and from what: model, source level, reference, sharpness, device, precision."""

from __future__ import annotations

import contextlib
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QWidget
from superqt import QCollapsible

from napari_cwtnet.enhancement import inference_devices, list_devices
from napari_cwtnet.enhancement.target import Target, suiting_models, targets
from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.model.weights import ModelHeader
from napari_cwtnet.plugin.docks.model_menu import ModelMenuButton
from napari_cwtnet.plugin.docks.widgets import Combo, form_layout
from napari_cwtnet.plugin.tasks.model_list import MODELS
from napari_cwtnet.plugin.viewer.requests import Choice, source_levels
from napari_cwtnet.slides import Slide

_REFERENCES = {
    "auto": ("Auto", "The next-higher level at ×4 and ×8, where the slide has one; else none"),
    "next": ("Next-higher level", "The same place, one octave finer than the source level"),
    "none": ("None", "Single-image: the model sees the source level alone"),
}
_PRECISIONS = {
    "auto": ("Auto", "Half where the device is made for it, else float32"),
    "float32": (
        "float32",
        "Full precision: slower on many devices, and the same on all up to rounding",
    ),
    "bfloat16": ("bfloat16 (half)", "Fast on new processors and NVIDIA devices, else slow"),
    "float16": ("float16 (half)", "Fast on NVIDIA devices, slow on processors"),
}
_SHARPNESS = {
    "auto": ("Auto", "The model judges by the pixels alone"),
    "sharp": ("Sharp", "As if shrunk by 2×2 means, which most scanners take"),
    "medium": ("Medium", "As if shrunk bicubically"),
    "soft": ("Soft", "As if a little out of focus"),
    "softest": ("Softest", "As if clearly out of focus"),
}


_ARROW = 36
"""Pixels that a list takes beside its words."""


def sharpness_combo() -> Combo:
    """What `Sharpness` allows."""
    return Combo(
        _SHARPNESS,
        "How soft the slide's pixels are, where its file does not tell: the softer, the more the "
        "model sharpens",
    )


def device_combo(*, training: bool = False) -> Combo:
    """The devices of this machine that can run a model, or train one."""
    devices = list_devices() if training else inference_devices()
    auto = {"auto": (f"Auto ({next(iter(devices))})", "")}
    named = {name: (name, words) for name, words in devices.items()}
    return Combo(auto | named, "Where the model computes")


class ModelCombo(Combo):
    """The models there are; looks for new ones whenever its list opens.

    Parameters
    ----------
    tip : str
        Tooltip while there is a model.

    Attributes
    ----------
    changed : Signal
        Another model is chosen, by the user or because the chosen one is gone.
    """

    changed = Signal()

    def __init__(self, tip: str) -> None:
        super().__init__(names=True)
        self._tip = tip
        self._by_user = False
        MODELS.load()
        self.show_models()
        MODELS.changed.connect(self.show_models)
        self.currentIndexChanged.connect(self._on_choice)

    def showPopup(self) -> None:  # noqa: N802 - Qt's name
        """Open the list, which follows once the folders are listed."""
        MODELS.refresh()
        super().showPopup()

    @property
    def choice(self) -> str | None:
        """Name of the chosen model."""
        return self.currentText() or None

    def show_models(self) -> None:
        """Offer the known models; the chosen one stays chosen where it still exists."""
        chosen, models = self.currentText(), MODELS.paths
        with QSignalBlocker(self):
            self.clear()
            # The first is the default.
            for name in sorted(models, key=_is_for_something_else):
                self.add(name, name, f"{_line_of(name)}\n{models[name]}".strip())
            if chosen in models:
                self.setCurrentText(chosen)
        self.setEnabled(bool(models))
        self.setToolTip(self._tip if models else "There is no model in the models folder")
        if self.currentText() != chosen:
            self.changed.emit()

    def suggest(self, path: Path | None) -> None:
        """Choose this model, unless the user has chosen one."""
        name = None if path is None else MODELS.name_of(path)
        if name in MODELS.paths and not self._by_user:
            with QSignalBlocker(self):
                self.setCurrentText(name)

    def _on_choice(self, _: int) -> None:
        self._by_user = True
        self.changed.emit()


def _line_of(name: str) -> str:
    try:
        return MODELS.header(name).line
    except CwtnetError:
        return ""


def _is_for_something_else(name: str) -> bool:
    try:
        return bool(MODELS.header(name).purpose)
    except CwtnetError:
        return False


class TargetCombo(Combo):
    """How fine the result is to be; the same choice as the model's scale, in a user's words.

    Parameters
    ----------
    model : ModelCombo
        Follows the target, and is followed.
    """

    def __init__(self, model: ModelCombo) -> None:
        super().__init__(tip="How fine the result is to be")
        self._model = model
        self._mpp: float | None = None
        self.show_targets()
        model.changed.connect(self.show_targets)
        self.activated.connect(self._on_choice)

    def set_mpp(self, mpp: float | None) -> None:
        """Say the targets of a slide of ``mpp`` µm per level-0 pixel."""
        if mpp != self._mpp:
            self._mpp = mpp
            self.show_targets()

    def show_targets(self) -> None:
        """Offer what some model reaches, and show what the chosen one does."""
        headers = self._headers()
        with QSignalBlocker(self):
            self.clear()
            for target in targets(headers.values()):
                words = target.words(self._mpp)
                self.add(words, target.factor, target.beyond_the_lens(self._mpp) or words)
            chosen = headers.get(self._model.choice or "")
            self.setCurrentIndex(-1 if chosen is None else self.findData(chosen.scale))
        texts = [self.itemText(number) for number in range(self.count())]
        widest = max(map(self.fontMetrics().horizontalAdvance, texts), default=0)
        self.setMinimumWidth(widest + _ARROW)
        self.setEnabled(self.count() > 0)

    def _headers(self) -> dict[str, ModelHeader]:
        found = {}
        for name in MODELS.paths:
            with contextlib.suppress(CwtnetError):  # a damaged one is offered, and says so
                found[name] = MODELS.header(name)
        return found

    def _on_choice(self, _: int) -> None:
        headers = self._headers()
        chosen = headers.get(self._model.choice or "")
        if chosen is not None and chosen.scale == self.currentData():
            return
        suiting = suiting_models(Target(self.currentData()), headers.values())
        self._model.setCurrentText(suiting[0].name)


class ModelForm(QWidget):
    """A combo box for each choice that a result depends on.

    Parameters
    ----------
    with_target : bool
        Begin with the target, and fold the model away under *Advanced* with all else.

    Attributes
    ----------
    changed : Signal
        The user chose something else.
    """

    changed = Signal()

    def __init__(self, *, with_target: bool = False) -> None:
        super().__init__()
        self.model = ModelCombo("The network that computes the finer pixels")
        self.target = TargetCombo(self.model) if with_target else None
        self.level = Combo(
            {None: ("Auto (the finest)" if with_target else "Auto (match zoom)", "")},
            "What the model reads",
        )
        self.reference = Combo(
            _REFERENCES, "A finer image of the same place that the model may borrow from"
        )
        self.sharpness, self.device = sharpness_combo(), device_combo()
        self.precision = Combo(_PRECISIONS, "How many bits the model computes with")
        self._scale = QLabel()
        self._scale.setToolTip("Pixels of the result per pixel of the source level, each way")
        self._slide: Slide | None = None
        model = QHBoxLayout()
        model.addWidget(self.model, 1)
        model.addWidget(self._scale)
        self._scale.setVisible(not with_target)  # the target says it
        model.addWidget(ModelMenuButton(self.model))
        rest = QWidget()
        first, form = form_layout(self), form_layout(rest)
        first.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)  # the words are not cut
        if self.target is None:
            first.addRow("Model", model)
        else:
            first.addRow("Target", self.target)
            form.addRow(QLabel("Model"))
            form.addRow(model)
        self.advanced = QCollapsible("Advanced", expandedIcon="▾", collapsedIcon="▸")
        self.advanced.setDuration(0)
        self.advanced.addWidget(rest)
        first.addRow(self.advanced)
        self.model.changed.connect(self.changed)
        for name, combo in (
            ("Source level", self.level),
            ("Reference", self.reference),
            ("Sharpness", self.sharpness),
            ("Device", self.device),
            ("Precision", self.precision),
        ):
            form.addRow(name, combo)
            combo.currentIndexChanged.connect(lambda _: self.changed.emit())

    @property
    def choice(self) -> Choice:
        """What is chosen."""
        return Choice(
            self.model.choice,
            self.level.currentData(),
            self.reference.currentData(),
            self.device.currentData(),
            self.precision.currentData(),
            self.sharpness.currentData(),
        )

    def set_slide(self, slide: Slide | None) -> None:
        """Offer the levels of a slide, and show the factor of the chosen model."""
        try:
            self._scale.setText(f"×{MODELS.header(self.model.choice).scale}")
        except CwtnetError:
            self._scale.clear()
        if self.target is not None:
            self.target.set_mpp(None if slide is None else slide.mpp)
        if slide is self._slide:
            return
        self._slide, chosen = slide, self.level.currentData()
        with QSignalBlocker(self.level):
            while self.level.count() > 1:
                self.level.removeItem(1)
            for downsample, words in source_levels(slide) if slide is not None else []:
                self.level.addItem(words, downsample)
            self.level.setCurrentIndex(max(0, self.level.findData(chosen)))
