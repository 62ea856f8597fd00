"""The Slide dock: open, look over, set the pixel size, jump."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_error
from qtpy.compat import isalive
from qtpy.QtCore import QSignalBlocker, QTimer
from qtpy.QtWidgets import QWidget

from napari_cwtnet.geometry import Size
from napari_cwtnet.plugin.background import in_background
from napari_cwtnet.plugin.badge import keep_badge
from napari_cwtnet.plugin.command_line import command_line, info_words
from napari_cwtnet.plugin.docks.parts import copy
from napari_cwtnet.plugin.docks.scrolling import fill
from napari_cwtnet.plugin.docks.slide_form import SlideForm
from napari_cwtnet.plugin.following import slide_layer_in
from napari_cwtnet.plugin.navigation import look_at, zoom_to
from napari_cwtnet.plugin.open_dialog import ask_for_slide
from napari_cwtnet.plugin.opening import Opened, open_in, reopened, replace_in
from napari_cwtnet.plugin.slide_facts import (
    degradation_text,
    is_set_by_user,
    jumps,
    level_rows,
    magnification_text,
    size_text,
    user_mpp,
    view_text,
    wants_icc,
)
from napari_cwtnet.plugin.slide_layer import slide_of
from napari_cwtnet.plugin.viewport import screen_pixel, visible_region

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

_CAMERA_MS = 50


class SlideDock(QWidget):
    """About the slide that is looked at.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer that it is docked to.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        keep_badge(napari_viewer)
        self._layer: Image | None = None
        self.form = SlideForm(self)
        fill(self, self.form, 280)
        self._camera_rests = QTimer(self)
        self._camera_rests.setSingleShot(True)
        self._camera_rests.setInterval(_CAMERA_MS)
        self._camera_rests.timeout.connect(self._show_view)
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
        editable = slide.mpp is None or is_set_by_user(slide)
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
        if not self._camera_rests.isActive():
            self._camera_rests.start()

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
            if layer in self._viewer.layers:
                replace_in(self._viewer, layer, opened)
                self._show_slide()

        def refuse(message: str) -> None:
            show_error(message)
            self._show_slide()

        in_background(lambda: reopened(slide, mpp=mpp, icc=icc), show, refuse)
