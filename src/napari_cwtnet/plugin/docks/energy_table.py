"""How much energy is in each sub-band of each image."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_cwtnet.inspection.band_maps import IMAGES

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
