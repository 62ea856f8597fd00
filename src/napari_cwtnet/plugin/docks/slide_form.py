"""The widgets of the Slide dock, in their places; what they do is said in `slide`."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cwtnet.plugin.docks.overview import Overview
from napari_cwtnet.plugin.slide_facts import MAGNIFICATIONS
from napari_cwtnet.slides.resolution import COARSEST_MPP, FINEST_MPP

_COLUMNS = ("Downsample", "µm/px", "Size")
_ROWS_SHOWN = 6
_ROW_HEIGHT = 22


class SlideForm(QWidget):
    """Everything that the Slide dock shows, with nothing behind it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.open = QPushButton("Open slide…")
        self.open.setToolTip("Open a whole-slide image with its pyramid and pixel size")
        self.name = _label()
        self.overview = Overview()
        self.size = _label()
        self.mpp = _mpp_box()
        self.magnification = QLabel()
        self.edit_mpp = QToolButton()
        self.edit_mpp.setText("Edit")
        self.edit_mpp.setCheckable(True)
        self.edit_mpp.setToolTip("Set another pixel size than the file's")
        self.note = _label(wrap=True)
        self.view = _label()
        self.jumps = {label: QPushButton() for label in MAGNIFICATIONS}
        self.icc = QCheckBox("Apply ICC profile (to sRGB)")
        self.levels = _table()
        self.degradation = _label(wrap=True)
        self.degradation.setToolTip(
            "What each level's pixels went through, by its downsample: the filter that made it of "
            "the next finer one, and the codec"
        )
        self.copy = QPushButton("Copy as command")
        self.copy.setToolTip("Copy the command line that says the same of the slide in a terminal")
        self._lay_out()

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
        form = QFormLayout(self.details)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(8)
        form.setVerticalSpacing(5)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Size", self.size)
        form.addRow("Pixel", _in_a_row(self.mpp, self.magnification, None, self.edit_mpp))
        form.addRow("", self.note)
        form.addRow("View", self.view)
        form.addRow("Zoom to", _in_a_row(*self.jumps.values()))
        form.addRow("Colour", self.icc)
        form.addRow(QLabel("Stored levels"))
        form.addRow(self.levels)
        form.addRow("Levels", self.degradation)
        form.addRow(self.copy)
        self.form = form
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        layout.addWidget(self.open)
        layout.addWidget(self.name)
        layout.addWidget(self.overview)
        layout.addWidget(self.details)
        layout.addStretch()


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
    table.setHorizontalHeaderLabels(list(_COLUMNS))
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
    table.horizontalHeader().setFixedHeight(_ROW_HEIGHT)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
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
