"""Which map to show of a field: of trust first, and for researchers what made it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_cwtnet.inspection import Field, images, matches_sentence
from napari_cwtnet.inspection.bands import DETAILS, IMAGES, deepest, predicted
from napari_cwtnet.inspection.trust import TRUST, trust_names
from napari_cwtnet.plugin.docks.map_legend import MapLegend
from napari_cwtnet.plugin.docks.widgets import Combo, form_layout, words_label
from napari_cwtnet.plugin.tasks.inspect import Captured, MapSelection, Show
from napari_cwtnet.plugin.viewer.requests import band_images

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
        self._grid.setHorizontalSpacing(3)

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


_FIRST: tuple[Show, ...] = ("expected-error", "consistency", "spread", "error")
"""What asks for no knowledge of the network."""
_RESEARCH = {
    "attention": "Attention S",
    "displacement": "Where the matches lie",
    "bands": "Sub-bands",
    "probe": "Probe a patch",
}
_ROWS = {
    "attention": ("block",),
    "displacement": ("block",),
    "bands": ("image", "band", "depth"),
    "probe": ("block",),
}
_CLICK = (
    "Click a place of the field on the canvas. White: the patch that is asked; green: those most "
    "like it; blue: what the network took, where that is another."
)


class MapForm(QWidget):
    """What to see, the choices that go with it, and the legend of the map.

    Attributes
    ----------
    changed : Signal
        Something else is to be seen.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.trust, self.research, self.block, self.image, self.band = (Combo() for _ in range(5))
        self.trust.setPlaceholderText("See below")
        self.research.setPlaceholderText("Choose a map")
        self.depth = QSpinBox()
        self.depth.setRange(1, 1)
        self.depth.setToolTip("Octaves: how often the image is halved first, plus one")
        self.stretched = QCheckBox("Auto contrast (1–99 %)")
        self.stretched.setToolTip("From the 1st to the 99th percentile, instead of a fixed range")
        self.words, self.energies, self.legend = words_label(), EnergyTable(), MapLegend()
        self._captured: Captured | None = None
        self._show: Show = "expected-error"
        self._rows = {
            "block": ("Block", self.block),
            "image": ("Image", self.image),
            "band": ("Band", self.band),
            "depth": ("Depth", self.depth),
        }
        inner = QWidget()
        self._form = form = form_layout(inner)
        form.addRow("Map", self.research)
        for label, widget in self._rows.values():
            form.addRow(label, widget)
        form.addRow(self.words)
        form.addRow(self.energies)
        self.researchers = QCollapsible("For researchers", expandedIcon="▾", collapsedIcon="▸")
        self.researchers.setDuration(0)
        self.researchers.addWidget(inner)
        for part in (self.researchers, self.researchers.content()):  # no room for an indent
            part.layout().setContentsMargins(0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        first = form_layout()
        first.addRow("Show", self.trust)
        layout.addLayout(first)
        for part in (self.legend, self.stretched, self.researchers):
            layout.addWidget(part)
        for combo in (self.trust, self.research):
            combo.activated.connect(partial(self._on_map, combo))
        for combo in (self.block, self.image, self.band):
            combo.currentIndexChanged.connect(lambda _: self._on_change())
        self.depth.valueChanged.connect(lambda _: self._on_change())
        self.stretched.toggled.connect(lambda _: self._on_change())
        self.hide()

    @property
    def selection(self) -> MapSelection:
        """What is chosen."""
        return MapSelection(
            show=self._show,
            block=self.block.currentData(),
            image=self.image.currentData(),
            band=self.band.currentData(),
            depth=self.depth.value(),
            stretched=self.stretched.isChecked(),
        )

    @property
    def offered(self) -> list[Show]:
        """Every map that can be chosen, those of trust first."""
        return [
            combo.itemData(index)
            for combo in (self.trust, self.research)
            for index in range(combo.count())
        ]

    def choose(self, **choices: Any) -> None:
        """Choose by value, as a user does by clicking: names are those of `MapSelection`."""
        with QSignalBlocker(self):
            for name, value in choices.items():
                if name == "depth":
                    self.depth.setValue(value)
                elif name == "stretched":
                    self.stretched.setChecked(value)
                elif name == "show":
                    self._choose_map(value)
                    self._on_change()
                else:
                    combo = getattr(self, name)
                    combo.setCurrentIndex(combo.findData(value))
        self.changed.emit()

    def offer(self, captured: Captured | None) -> None:
        """Offer what a field holds; what was chosen stays chosen where it can. None hides all."""
        self._captured = captured
        if captured is None:
            self.hide()
            return
        field = captured.field
        _fill(self.trust, [(name, words) for name, words in _maps(field) if name in _FIRST])
        _fill(self.research, [(name, words) for name, words in _maps(field) if name not in _FIRST])
        self._choose_map(self._show if self._show in self.offered else self.offered[0])
        self._fill_blocks()
        _fill(self.image, list(band_images(field).items()), "sr")
        self._fill_bands()
        self.energies.show_energies(captured.energies)
        self._arrange()
        self.show()

    def _on_map(self, combo: Combo, index: int) -> None:
        self._choose_map(combo.itemData(index))
        self._on_change()

    def _choose_map(self, show: Show) -> None:
        """Choose in the list that holds it; the other then shows that it says nothing."""
        self._show = show
        for combo in (self.trust, self.research):
            combo.setCurrentIndex(combo.findData(show))
        if show not in _FIRST:
            self.researchers.expand(animate=False)

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
        if self._show not in ("displacement", "probe"):
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
        show = self._show
        for name, (_, widget) in self._rows.items():
            self._form.setRowVisible(widget, name in _ROWS.get(show, ()))
        self.stretched.setVisible(show not in ("displacement", "probe"))
        self._form.setRowVisible(self.energies, show == "bands")
        words = _CLICK if show == "probe" else ""
        field = None if self._captured is None else self._captured.field
        # The legend of a map of the steps says this itself.
        if field is not None and (show == "attention" or not field.blocks):
            words = matches_sentence(field, self.block.currentData())
        self.words.setText(words)
        self._form.setRowVisible(self.words, bool(words))


def _maps(field: Field) -> list[tuple[str, str]]:
    """Maps of a field with their words: only a model that searches takes a patch from elsewhere."""
    absent = {"displacement", "probe"} if field.aligned or not field.blocks else set()
    if not field.blocks:
        absent.add("attention")
    found = [(name, words) for name, words in _RESEARCH.items() if name not in absent]
    return [*((name, TRUST[name][0]) for name in trust_names(field)), *found]


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
