"""What the Slide dock shows: widgets, their places and their tips, with nothing behind them."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QStyledItemDelegate,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cwtnet.plugin.docks.overview import Overview
from napari_cwtnet.plugin.docks.widgets import Combo
from napari_cwtnet.plugin.viewer.slide_layer import MAGNIFICATIONS
from napari_cwtnet.slides.resolution import COARSEST_MPP, FINEST_MPP

_COLUMNS = {
    "÷": "Downsample: how many times smaller than the finest level, each way",
    "µm/px": "Pixel size",
    "Size": "Pixels",
}
_ROWS_SHOWN = 6
_ROW_HEIGHT = 22


class SlideForm(QWidget):
    """Everything that the Slide dock shows, with nothing behind it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.open = QPushButton("Open slide…")
        self.open.setToolTip("Open a whole-slide image with its pyramid and pixel size")
        self.open.setMinimumWidth(self.open.sizeHint().width())  # "Opening…" is no wider
        self.recent = QPushButton("Recent")
        self.recent_menu = QMenu(self.recent)
        self.recent_menu.setToolTipsVisible(True)
        self.recent.setMenu(self.recent_menu)
        self.sample = QPushButton("Sample")
        self.sample.setToolTip(
            "Open a small H&E slide at 20× (CMU-1, CC0); fetched once, 1.9 MB, then kept"
        )
        self.slides = Combo(names=True)
        self.overview = Overview()
        self.image = ImageChooser()
        self.size = _label()
        self.size.setToolTip("Size of the finest level, and of the tissue area that it covers")
        self.view = _label()
        self.view.setToolTip("How much one pixel of the screen shows just now, in µm")
        self.jumps = {label: QPushButton() for label in MAGNIFICATIONS}
        self.scanned = {
            label: QPushButton(f"{label}×") for label in sorted(MAGNIFICATIONS) if label > 5
        }
        for label, button in self.scanned.items():
            button.setToolTip(f"{MAGNIFICATIONS[label]:g} µm per pixel; remembered for this slide")
        self.scanned_otherwise = QPushButton("Other…")
        self.scanned_otherwise.setToolTip("Type the pixel size in, under Details")
        self.note = _label(wrap=True)
        self.more = QToolButton()
        self.more.setText("Details")
        self.more.setCheckable(True)
        self.more.setAutoRaise(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setToolTip("Pixel size, colour profile, stored levels, and what made the pixels")
        self.mpp = _mpp_box()
        self.magnification = QLabel()
        self.edit_mpp = QToolButton()
        self.edit_mpp.setText("Edit")
        self.edit_mpp.setCheckable(True)
        self.edit_mpp.setToolTip(
            "Set another pixel size than the file's; remembered for this slide. 0 takes it back"
        )
        self.icc = QCheckBox("Apply ICC profile (to sRGB)")
        self.levels = _table()
        self.degradation = _label(wrap=True)
        self.degradation.setToolTip(
            "How each level was made, by its downsample: the filter from the next finer level, and "
            "the codec"
        )
        self.copy = QPushButton("Copy as command")
        self.copy.setToolTip("Copy the command line that says the same of the slide in a terminal")
        self._lay_out()
        self.more.toggled.connect(self._show_more)
        self._show_more(False)

    def _show_more(self, on: bool) -> None:
        self.more.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        self.more_details.setVisible(on)

    def fill_levels(self, rows: list[tuple[str, str, str]]) -> None:
        """Show the rows, and be as high as they are."""
        table = self.levels
        table.setRowCount(len(rows))
        for y, row in enumerate(rows):
            for x, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                table.setItem(y, x, item)
        shown = min(len(rows), _ROWS_SHOWN)
        table.setFixedHeight((1 + shown) * _ROW_HEIGHT + 2 * table.frameWidth())

    def _lay_out(self) -> None:
        self.details = QWidget()
        self.form = _form(self.details)
        self.form.addRow("Image", self.image)
        self.form.addRow("Zoom to", _in_a_row(*self.jumps.values()))
        self.form.addRow("View", self.view)
        self.form.addRow("Size", self.size)
        self.ask_scanned = QWidget()
        asked = QVBoxLayout(self.ask_scanned)
        asked.setContentsMargins(0, 0, 0, 0)
        words = _label(wrap=True)
        words.setText("The file does not say its magnification. Scanned at:")
        asked.addWidget(words)
        asked.addWidget(_in_a_row(*self.scanned.values(), self.scanned_otherwise))
        self.form.addRow(self.ask_scanned)
        self.form.addRow(self.note)
        self.form.addRow(self.more)
        self.more_details = QWidget()
        self.more_form = _form(self.more_details)
        self.more_form.addRow("Pixel", _in_a_row(self.mpp, self.magnification, None, self.edit_mpp))
        self.more_form.addRow("Colour", self.icc)
        self.more_form.addRow(QLabel("Stored levels"))
        self.more_form.addRow(self.levels)
        self.more_form.addRow("Levels", self.degradation)
        self.more_form.addRow(self.copy)
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        first = QHBoxLayout()
        first.setSpacing(2)
        first.addWidget(self.open, 2)
        first.addWidget(self.recent, 1)
        first.addWidget(self.sample)
        layout.addLayout(first)
        layout.addWidget(self.slides)
        layout.addWidget(self.overview)
        layout.addWidget(self.details)
        layout.addWidget(self.more_details)
        layout.addStretch()


class ImageChooser(QWidget):
    """Which image of a file that holds several: its number, and what it is in words."""

    def __init__(self) -> None:
        super().__init__()
        self.combo = Combo(tip="The file holds several images; choose one to open it")
        self.combo.setItemDelegate(_WholeWords(self.combo))
        self.words = _label(wrap=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.combo)
        column.addWidget(self.words)

    def show_images(self, images: tuple[str, ...], shown: int) -> None:
        """Offer the images of a file; the numbers fit in a narrow dock, the words may not."""
        with QSignalBlocker(self.combo):
            self.combo.clear()
            for number, what in enumerate(images):
                tip = f"{what}\nOn the command line: --image {number}"
                self.combo.add(f"{number + 1} of {len(images)}", what, tip)
            self.combo.setCurrentIndex(shown)
        listed = self.combo.view()
        listed.setMinimumWidth(listed.sizeHintForColumn(0) + 2 * listed.frameWidth())
        self.words.setText(self.combo.currentData())


class _WholeWords(QStyledItemDelegate):
    """Lists what each image is beside its number."""

    def initStyleOption(self, option: Any, index: Any) -> None:  # noqa: N802 - Qt's name
        super().initStyleOption(option, index)
        option.text += f" · {index.data(Qt.ItemDataRole.UserRole)}"


def _form(parent: QWidget) -> QFormLayout:
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setHorizontalSpacing(8)
    form.setVerticalSpacing(5)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    return form


def _label(wrap: bool = False) -> QLabel:
    label = QLabel()
    label.setWordWrap(wrap)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _mpp_box() -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(4)
    box.setRange(0.0, COARSEST_MPP)
    box.setSingleStep(0.01)
    box.setSuffix(" µm/px")
    box.setSpecialValueText("unknown")
    box.setKeyboardTracking(False)
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    box.setToolTip(f"µm per pixel at level 0, {FINEST_MPP:g} to {COARSEST_MPP:g}")
    return box


def _table() -> QTableWidget:
    table = QTableWidget(0, len(_COLUMNS))
    for column, (name, tip) in enumerate(_COLUMNS.items()):
        title = QTableWidgetItem(name)
        title.setToolTip(tip)
        table.setHorizontalHeaderItem(column, title)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
    table.horizontalHeader().setFixedHeight(_ROW_HEIGHT)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(len(_COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
    table.setToolTip("Double-click a level to see it pixel for pixel")
    return table


def _in_a_row(*widgets: QWidget | None) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        if widget is None:
            layout.addStretch()
        else:
            layout.addWidget(widget)
    return row
