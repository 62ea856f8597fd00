"""Choices of the map to show of a field, and its sub-band energies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QGridLayout, QLabel, QSpinBox, QWidget

from napari_cwtnet.inspection import Field, images, matches_sentence
from napari_cwtnet.inspection.bands import DETAILS, IMAGES, deepest, predicted
from napari_cwtnet.inspection.trust import trust_names
from napari_cwtnet.plugin.docks.widgets import Combo
from napari_cwtnet.plugin.tasks.inspect import Captured, MapSelection, Show
from napari_cwtnet.plugin.viewer.requests import TRUST, band_images

_SHORT = IMAGES | {"wr": "stand-in"}


class EnergyTable(QWidget):
    """A row for each image, a column for each detail band at depth 1."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(
            "Squared grey levels per value of the image; with LL, they add up to its mean square. "
            "Each image's own finest octave: that of SR is finer than that of LR"
        )
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(0, 1)

    def show_energies(self, energies: Mapping[str, Mapping[str, float]]) -> None:
        """Show what was measured."""
        while (item := self._grid.takeAt(0)) is not None:
            item.widget().deleteLater()
        bands = ("LH1", "HL1", "HH1")
        self._row(0, ["Energy", *(band[:2] for band in bands)])
        for row, (name, found) in enumerate(energies.items(), start=1):
            self._row(row, [_SHORT[name], *(f"{found[band]:.3g}" for band in bands)])

    def text(self) -> str:
        """All that is shown, line by line."""
        grid = self._grid
        rows = [
            [grid.itemAtPosition(row, column) for column in range(4)]
            for row in range(grid.rowCount())
        ]
        return "\n".join("\t".join(i.widget().text() for i in row) for row in rows if all(row))

    def _row(self, row: int, words: list[str]) -> None:
        for column, text in enumerate(words):
            label = QLabel(text)
            if column:
                label.setAlignment(Qt.AlignmentFlag.AlignRight)
            self._grid.addWidget(label, row, column)


_SHOW = {
    "attention": "Attention S",
    "displacement": "Where the matches lie",
    "bands": "Sub-bands",
    "trust": "How far to trust it",
    "probe": "Probe a patch",
}
_ROWS = {
    "attention": ("block",),
    "displacement": ("block",),
    "bands": ("image", "band", "depth"),
    "trust": ("trust",),
    "probe": ("block",),
}
_CLICK = (
    "Click a place of the field on the canvas. White: the patch that is asked; green: those most "
    "like it; blue: what the network took, where that is another."
)


class MapForm(QWidget):
    """What to see, and the choices that go with it.

    Attributes
    ----------
    changed : Signal
        Something else is to be seen.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.show_what, self.block, self.image, self.band, self.trust = (Combo() for _ in range(5))
        self.depth = QSpinBox()
        self.depth.setRange(1, 1)
        self.depth.setToolTip("Octaves: how often the image is halved first, plus one")
        self.stretched = QCheckBox("Auto contrast (1–99 %)")
        self.stretched.setToolTip("From the 1st to the 99th percentile, instead of a fixed range")
        self.words, self.energies = QLabel(), EnergyTable()
        self.words.setWordWrap(True)
        self._captured: Captured | None = None
        self._form = form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Show", self.show_what)
        self._rows = {
            "block": ("Block", self.block),
            "image": ("Image", self.image),
            "band": ("Band", self.band),
            "depth": ("Depth", self.depth),
            "trust": ("Map", self.trust),
        }
        for label, widget in self._rows.values():
            form.addRow(label, widget)
        form.addRow(self.stretched)
        form.addRow(self.words)
        form.addRow(self.energies)
        for combo in (self.show_what, self.block, self.image, self.band, self.trust):
            combo.currentIndexChanged.connect(lambda _: self._on_change())
        self.depth.valueChanged.connect(lambda _: self._on_change())
        self.stretched.toggled.connect(lambda _: self._on_change())
        self.hide()

    @property
    def selection(self) -> MapSelection:
        """What is chosen."""
        return MapSelection(
            show=self.show_what.currentData(),
            block=self.block.currentData(),
            image=self.image.currentData(),
            band=self.band.currentData(),
            depth=self.depth.value(),
            trust=self.trust.currentData(),
            stretched=self.stretched.isChecked(),
        )

    def choose(self, **choices: Any) -> None:
        """Choose by value, as a user does by clicking: names are those of `MapSelection`."""
        with QSignalBlocker(self):
            for name, value in choices.items():
                if name == "depth":
                    self.depth.setValue(value)
                elif name == "stretched":
                    self.stretched.setChecked(value)
                else:
                    combo = self.show_what if name == "show" else getattr(self, name)
                    combo.setCurrentIndex(combo.findData(value))
        self.changed.emit()

    def offer(self, captured: Captured | None) -> None:
        """Offer what a field holds; what was chosen stays chosen where it can. None hides all."""
        self._captured = captured
        if captured is None:
            self.hide()
            return
        field = captured.field
        _fill(self.show_what, [(show, _SHOW[show]) for show in _shows(field)])
        self._fill_blocks()
        _fill(self.image, list(band_images(field).items()), "sr")
        self._fill_bands()
        _fill(self.trust, [(name, TRUST[name]) for name in trust_names(field)])
        self.energies.show_energies(captured.energies)
        self._arrange()
        self.show()

    def _on_change(self) -> None:
        if self._captured is not None:
            self._fill_blocks()
            self._fill_bands()
            self._arrange()
            self.changed.emit()

    def _fill_blocks(self) -> None:
        if self._captured is None:
            return
        blocks: list[tuple[Any, str]] = [
            (n, f"{n} of {self._captured.field.blocks}")
            for n in range(1, self._captured.field.blocks + 1)
        ]
        if self.show_what.currentData() == "attention":
            blocks.insert(0, (None, "mean of all"))
        _fill(self.block, blocks)

    def _fill_bands(self) -> None:
        if self._captured is None:
            return
        field, image = self._captured.field, self.image.currentData()
        if image in ("predicted", "target"):
            _fill(self.band, [(name, name) for name in predicted(field)])
            self._depth_up_to(1)
        else:
            _fill(self.band, [(name, name) for name in ("LL", *DETAILS)], "HH")
            self._depth_up_to(deepest(*images(field)[image].shape[:2]))

    def _depth_up_to(self, most: int) -> None:
        with QSignalBlocker(self.depth):
            self.depth.setMaximum(most)

    def _arrange(self) -> None:
        show = self.show_what.currentData()
        for name, (_, widget) in self._rows.items():
            self._form.setRowVisible(widget, name in _ROWS[show])
        self._form.setRowVisible(self.stretched, show in ("attention", "bands", "trust"))
        self._form.setRowVisible(self.energies, show == "bands")
        words = _CLICK if show == "probe" else ""
        field = None if self._captured is None else self._captured.field
        # The legend of a map of the steps says this itself.
        if field is not None and (show == "attention" or not field.blocks):
            words = matches_sentence(field, self.block.currentData())
        self.words.setText(words)
        self._form.setRowVisible(self.words, bool(words))


def _shows(field: Field) -> list[Show]:
    """What there is to see of a field: only a model that searches takes a patch from elsewhere."""
    searched: list[Show] = ["attention"] if field.aligned else ["attention", "displacement"]
    probed: list[Show] = [] if field.aligned else ["probe"]
    if not field.blocks:
        return ["bands", "trust"]
    return [*searched, "bands", "trust", *probed]


def _fill(combo: Combo, choices: list[tuple[Any, str]], usual: Any = None) -> None:
    """Offer choices; the one that was chosen stays, else the usual one, else the first."""
    chosen = combo.currentData() if combo.count() else usual
    with QSignalBlocker(combo):
        combo.clear()
        for value, words in choices:
            combo.addItem(words, value)
        values = [value for value, _ in choices]
        wanted = chosen if chosen in values else usual
        combo.setCurrentIndex(values.index(wanted) if wanted in values else 0)
