"""Small widgets that several docks use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magicgui.widgets import FileEdit
from napari.utils.notifications import show_info
from qtpy.QtCore import QEvent, QRect, Qt, Signal
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolTip,
    QWidget,
)

DECIBELS = (
    "Decibels of peak signal-to-noise ratio: how near to the truth; 1 dB more is about 20 % less "
    "squared error."
)
"""Tooltip of whatever shows dB."""


class Combo(QComboBox):
    """Takes the width that there is; words that are longer are shortened, and whole in the tip.

    Parameters
    ----------
    choices : mapping, optional
        Words and tooltip of each value.
    tip : str
        Tooltip of the whole.
    names : bool
        The words are names, which often differ at their end: they lose their middle.
    """

    def __init__(
        self,
        choices: Mapping[Any, tuple[str, str]] | None = None,
        tip: str = "",
        *,
        names: bool = False,
    ) -> None:
        super().__init__()
        mode = Qt.TextElideMode
        self._side = mode.ElideMiddle if names else mode.ElideRight
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setToolTip(tip)
        for value, (words, explanation) in (choices or {}).items():
            self.add(words, value, explanation)

    def add(self, words: str, value: Any, tip: str) -> None:
        """Offer one more value."""
        self.addItem(words, value)
        self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    @property
    def shown_text(self) -> str:
        """What there is room for."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        room = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        return self.fontMetrics().elidedText(self.currentText(), self._side, room.width() - 2)

    def paintEvent(self, _: Any) -> None:  # noqa: N802 - Qt's name
        """Draw what there is room for; Qt would cut it off."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        option.currentText = self.shown_text
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def event(self, event: Any) -> bool:
        """Begin the tip with the words, where they are not whole."""
        whole = self.currentText()
        if event.type() == QEvent.Type.ToolTip and self.shown_text != whole:
            QToolTip.showText(
                event.globalPos(), "\n".join(filter(None, (whole, self.toolTip()))), self
            )
            return True
        return bool(super().event(event))


def form_layout(parent: QWidget | None = None) -> QFormLayout:
    """Rows of a name and a widget, which takes the width that there is."""
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    return form


_AROUND = 10
"""Pixels that a label takes beside its lines."""
_LARGE = 10_000
_BAR = 6
"""Height in pixels."""


class WordsLabel(QLabel):
    """Sentences, which can be copied; as high as they need, and no wider than given.

    Qt lets a scroll area squeeze labels whose lines are wrapped, and what is below them.

    Parameters
    ----------
    lines : int
        Whose place is kept.
    """

    def __init__(self, lines: int = 0) -> None:
        super().__init__()
        self._lines = lines
        if lines:
            self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._fit()

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Keep room for lines of the theme's font, which is set after the label is made."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show other words, and keep room for them."""
        if text != self.text():
            super().setText(text)
            self._fit()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Keep room for the words at another width."""
        super().resizeEvent(event)
        self._fit()

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Keep room in the font of the style sheet, which is known by now."""
        super().showEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.ensurePolished()
        if self.minimumHeight() == self.maximumHeight():
            return  # a height was set
        self.setMinimumHeight(0)  # for Qt's answer is never below it
        needed = self.heightForWidth(self.width()) if self.text() else 0
        self.setMinimumHeight(max(needed, self._kept))

    @property
    def _kept(self) -> int:
        """Pixels of the lines whose place is kept, as Qt draws them: its spacing is a fraction."""
        if not self._lines:
            return 0
        area, usual = QRect(0, 0, _LARGE, _LARGE), "\n".join("M" * self._lines)
        return self.fontMetrics().boundingRect(area, 0, usual).height() + _AROUND


def words_label(lines: int = 0) -> QLabel:
    """A label for sentences that keeps the place of some lines."""
    return WordsLabel(lines)


def thin_bar(*, keep_place: bool = False) -> QProgressBar:
    """A progress bar; one that keeps its place when it is hidden does not move what is below."""
    bar = QProgressBar()
    bar.setTextVisible(False)
    bar.setFixedHeight(_BAR)
    policy = bar.sizePolicy()
    policy.setRetainSizeWhenHidden(keep_place)
    bar.setSizePolicy(policy)
    return bar


def show_progress(bar: QProgressBar, done: int, total: int) -> None:
    """Move a bar, painted when the window is painted next.

    Left to itself, Qt paints the window within `setValue`, the canvas included, and waits for it.
    """
    bar.setUpdatesEnabled(False)
    bar.setRange(0, total)
    bar.setValue(done)
    bar.setUpdatesEnabled(True)


def enable(widget: QWidget, enabled: bool, tip: str) -> None:
    """Enable a widget or not, and say why."""
    widget.setEnabled(enabled)
    widget.setToolTip(tip)


def copy(line: str) -> None:
    """Have a line pasted elsewhere, and say so for a few seconds."""
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(line)
    show_info(f"Copied: {line}")


class PathField(QWidget):
    """A line with a button beside it.

    Parameters
    ----------
    pattern : str or None
        Which files are offered; None asks for a folder.
    none : str
        What an empty line means.

    Attributes
    ----------
    changed : Signal
        Another path, or none.
    """

    changed = Signal()

    def __init__(self, pattern: str | None, none: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        mode = "d" if pattern is None else "r"
        self._edit = FileEdit(mode=mode, filter=pattern, nullable=True)
        self._edit.margins = (0, 0, 0, 0)
        self._edit.choose_btn.text = "…"
        self._edit.choose_btn.tooltip = "Choose"
        self.line: QLineEdit = self._edit.line_edit.native
        self.line.setPlaceholderText(none)
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(lambda _: self.changed.emit())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._edit.native)

    @property
    def path(self) -> Path | None:
        """What is chosen; None for an empty line."""
        text = self.line.text().strip()
        return Path(os.path.expanduser(text)) if text else None  # noqa: PTH111 - never raises
