"""The Slide dock: open, look over, set the pixel size, jump."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_error
from qtpy.compat import isalive
from qtpy.QtCore import QSignalBlocker, Qt
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
from superqt.utils import QSignalThrottler

from napari_cwtnet.geometry import Size
from napari_cwtnet.plugin.docks.dock import Dock
from napari_cwtnet.plugin.docks.overview import Overview
from napari_cwtnet.plugin.docks.widgets import copy
from napari_cwtnet.plugin.reader import Opened, ask_for_slide, open_in, reopened, replace_in
from napari_cwtnet.plugin.tasks.runner import in_background
from napari_cwtnet.plugin.viewer.badge import keep_badge
from napari_cwtnet.plugin.viewer.command_line import command_line, info_words
from napari_cwtnet.plugin.viewer.selection import holds, slide_layer_in
from napari_cwtnet.plugin.viewer.slide_layer import (
    MAGNIFICATIONS,
    degradation_text,
    jumps,
    level_rows,
    magnification_text,
    size_text,
    slide_of,
    user_mpp,
    view_text,
    wants_icc,
)
from napari_cwtnet.plugin.viewer.viewport import look_at, screen_pixel, visible_region, zoom_to
from napari_cwtnet.slides.resolution import COARSEST_MPP, FINEST_MPP

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer


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


_CAMERA_MS = 50


class SlideDock(Dock):
    """About the slide that is looked at.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer that it is docked to.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        keep_badge(napari_viewer)
        self.form = SlideForm(self)
        self._fill(self.form, 280)
        self._camera_moves = QSignalThrottler(QSignalThrottler.EmissionPolicy.Trailing, self)
        self._camera_moves.setTimeout(_CAMERA_MS)
        self._camera_moves.triggered.connect(self._on_triggered)
        self._connect()
        self._layer = slide_layer_in(napari_viewer)
        self._show_slide()

    @property
    def layer(self) -> Image | None:
        """The layer that this is about."""
        return self._layer

    def open_slide(self, path: str | Path) -> None:
        """Open a slide with this plugin, whatever napari's default is; returns at once."""
        self.form.open.setEnabled(False)
        self.form.open.setText("Opening…")
        open_in(self._viewer, Path(path), self._show_open_button)

    def copy_command(self) -> str | None:
        """Put the command line on the clipboard that says the same of the slide; gives it."""
        slide = slide_of(self._layer)
        if slide is None:
            return None
        line = command_line(info_words(slide))
        copy(line)
        return line

    def _connect(self) -> None:
        form, viewer = self.form, self._viewer
        form.open.clicked.connect(self._ask)
        form.overview.chosen.connect(self._look_at)
        form.mpp.editingFinished.connect(self._set_mpp)
        form.edit_mpp.toggled.connect(self._edit_mpp)
        form.icc.clicked.connect(self._set_icc)
        form.copy.clicked.connect(self.copy_command)
        form.levels.cellDoubleClicked.connect(self._zoom_to_level)
        for label, button in form.jumps.items():
            button.clicked.connect(partial(self._jump, label))
        viewer.layers.events.inserted.connect(self._follow)
        viewer.layers.events.removed.connect(self._follow)
        viewer.layers.selection.events.active.connect(self._follow)
        viewer.scene.camera.events.connect(self._camera_moved)
        viewer.canvas.events.size.connect(self._camera_moved)

    def _ask(self) -> None:
        path = ask_for_slide(self)
        if path is not None:
            self.open_slide(path)

    def _show_open_button(self) -> None:
        self.form.open.setText("Open slide…")
        self.form.open.setEnabled(True)

    def _follow(self, *_: object) -> None:
        layer = slide_layer_in(self._viewer, self._layer)
        # napari hands out a new proxy each time, so that `is` would never hold
        if layer != self._layer:
            self._layer = layer
            self._show_slide()

    def _show_slide(self) -> None:
        form, slide = self.form, slide_of(self._layer)
        form.details.setVisible(slide is not None)
        form.name.setVisible(slide is not None)
        if slide is None:
            form.overview.show_picture(None, Size(1, 1), Size(1, 1))
            return
        form.name.setText(f"<b>{slide.path.name}</b>")
        form.name.setToolTip(f"{slide.path}\nFormat: {slide.format}")
        form.size.setText(size_text(slide.size, slide.mpp).replace(" · ", "\n"))
        self._show_mpp()
        for jump in jumps(slide.mpp):
            button = form.jumps[jump.label]
            button.setText(jump.text)
            button.setToolTip(jump.explanation)
            button.setEnabled(jump.pixel is not None)
        has_profile = slide.icc_profile is not None
        form.form.setRowVisible(form.icc, has_profile)
        form.icc.setEnabled(slide.icc_note is None)
        form.icc.setToolTip(slide.icc_note or "Show colours as the scanner's profile has them")
        with QSignalBlocker(form.icc):
            form.icc.setChecked(slide.icc)
        form.fill_levels(level_rows(slide))
        self._show_view()
        self._fetch_picture()
        self._fetch_degradation()

    def _show_mpp(self) -> None:
        form, slide = self.form, slide_of(self._layer)
        if slide is None:
            return
        editable = slide.mpp is None or slide.mpp_by_user
        with QSignalBlocker(form.mpp), QSignalBlocker(form.edit_mpp):
            form.mpp.setValue(slide.mpp or 0.0)
            self._let_edit(editable)
            form.edit_mpp.setChecked(False)
        form.edit_mpp.setVisible(not editable)
        form.magnification.setText(magnification_text(slide.mpp))
        notes = list(dict.fromkeys(filter(None, (slide.mpp_note, *slide.notes))))
        form.note.setText("\n".join(f"{note[0].upper()}{note[1:]}." for note in notes))
        form.form.setRowVisible(form.note, bool(notes))

    def _fetch_picture(self) -> None:
        layer, slide = self._layer, slide_of(self._layer)
        if layer is None or slide is None:
            return
        coarsest = layer.data[-1]
        factor = coarsest.downsample
        covered = Size(coarsest.shape[1] * factor, coarsest.shape[0] * factor)
        self.form.overview.show_picture(None, slide.size, covered)

        def show(pixels: np.ndarray) -> None:
            if slide_of(self._layer) is slide:
                self.form.overview.show_picture(pixels, slide.size, covered)
                self._show_view()

        in_background(lambda: np.asarray(coarsest), show)

    def _fetch_degradation(self) -> None:
        slide = slide_of(self._layer)
        if slide is None:
            return
        self.form.degradation.setText("…")

        def show(words: str) -> None:
            if isalive(self) and slide_of(self._layer) is slide:
                self.form.degradation.setText(words)

        in_background(lambda: degradation_text(slide), show)

    def _camera_moved(self, *_: object) -> None:
        if isalive(self):  # napari's events outlive the dock
            self._camera_moves.throttle()

    def show_all(self) -> None:
        """Say what the canvas shows."""
        self._show_view()

    def _show_view(self) -> None:
        layer, slide = self._layer, slide_of(self._layer)
        if layer is None or slide is None:
            return
        self.form.overview.show_box(visible_region(self._viewer, layer))
        self.form.view.setText(view_text(slide.mpp, screen_pixel(self._viewer, layer)))

    def _look_at(self, x: float, y: float) -> None:
        if self._layer is not None:
            look_at(self._viewer, self._layer, x, y)

    def _jump(self, label: int, *_: object) -> None:
        slide = slide_of(self._layer)
        if self._layer is None or slide is None:
            return
        pixel = next(jump.pixel for jump in jumps(slide.mpp) if jump.label == label)
        if pixel is not None:
            zoom_to(self._viewer, self._layer, pixel)

    def _zoom_to_level(self, row: int, *_: object) -> None:
        slide = slide_of(self._layer)
        if self._layer is not None and slide is not None:
            zoom_to(self._viewer, self._layer, slide.levels[row].downsample)

    def _let_edit(self, on: bool) -> None:
        self.form.mpp.setReadOnly(not on)
        self.form.mpp.setFrame(on)

    def _edit_mpp(self, on: bool) -> None:
        self._let_edit(on)
        if on:
            self.form.mpp.setFocus()
            self.form.mpp.selectAll()

    def _set_mpp(self) -> None:
        slide = slide_of(self._layer)
        mpp = round(self.form.mpp.value(), 4)
        if slide is None or self.form.mpp.isReadOnly() or mpp == round(slide.mpp or 0.0, 4):
            return
        # Zero is what the box shows as "unknown": back to what the file says.
        self._reopen(mpp=mpp or None, icc=wants_icc(slide))

    def _set_icc(self, on: bool) -> None:
        slide = slide_of(self._layer)
        if slide is not None:
            self._reopen(mpp=user_mpp(slide), icc=on)

    def _reopen(self, mpp: float | None, icc: bool) -> None:
        layer, slide = self._layer, slide_of(self._layer)
        if layer is None or slide is None:
            return

        def show(opened: Opened) -> None:
            if holds(self._viewer, layer):
                replace_in(self._viewer, layer, opened)
                self._show_slide()

        def refuse(message: str) -> None:
            show_error(message)
            self._show_slide()

        in_background(lambda: reopened(slide, mpp=mpp, icc=icc), show, refuse)
