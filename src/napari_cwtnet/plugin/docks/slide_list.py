"""The slides that can be learnt from, with a tick each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_cwtnet.errors import SlideError
from napari_cwtnet.plugin.background import in_background
from napari_cwtnet.plugin.finetune_choice import SlideChoice
from napari_cwtnet.plugin.open_dialog import ask_for_slide
from napari_cwtnet.plugin.slide_layer import slide_of
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
        self._unticked: set[Path] = set()
        self.list.itemChanged.connect(self._on_tick)
        self.show_layers([])

    @property
    def ticked(self) -> tuple[SlideChoice, ...]:
        """What is to be learnt from."""
        items = (self.list.item(row) for row in range(self.list.count()))
        return tuple(i.data(_DATA) for i in items if i.checkState() == Qt.CheckState.Checked)

    def show_layers(self, layers: Any) -> None:
        """Offer the slides of these layers, and the added ones; ticks stay as they are."""
        choices: dict[Path, SlideChoice] = {}
        for layer in layers:
            slide = slide_of(layer)
            if slide is not None:
                choices.setdefault(slide.path, SlideChoice.of(slide, layer))
        for added in self._added:
            choices.setdefault(added.path, added)
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
                self._unticked.discard(choice.path)
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
        ticked = choice.path not in self._unticked and choice.computed is None
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
        item.setToolTip(str(choice.path))
        if choice.computed is not None:
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            item.setToolTip("Itself computed, and no truth to learn from")
        return item

    def _on_tick(self, item: QListWidgetItem) -> None:
        path = item.data(_DATA).path
        if item.checkState() == Qt.CheckState.Checked:
            self._unticked.discard(path)
        else:
            self._unticked.add(path)
        self.changed.emit()
