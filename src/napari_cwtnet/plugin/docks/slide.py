"""The Slide dock: open, look over, set the pixel size, jump."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_error
from qtpy.compat import isalive
from qtpy.QtCore import QSignalBlocker, Qt
from superqt.utils import QSignalThrottler

from napari_cwtnet.geometry import Size
from napari_cwtnet.plugin.docks.dock import Dock
from napari_cwtnet.plugin.docks.slide_form import SlideForm
from napari_cwtnet.plugin.docks.widgets import copy
from napari_cwtnet.plugin.reader import (
    Opened,
    ask_for_slide,
    open_in,
    reopened,
    replace_in,
    with_pixel_size,
)
from napari_cwtnet.plugin.tasks.runner import in_background
from napari_cwtnet.plugin.tasks.slide_memory import SLIDES
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
    slide_name,
    slide_of,
    user_mpp,
    view_text,
    wants_icc,
)
from napari_cwtnet.plugin.viewer.slides_shown import bring_up, show_slide, slides_in
from napari_cwtnet.plugin.viewer.viewport import look_at, screen_pixel, visible_region, zoom_to
from napari_cwtnet.slides import Slide, sample_slide

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer


_CAMERA_MS = 50


class SlideDock(Dock):
    """About the slide that is looked at.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer that it is docked to.
    """

    help_page = "tutorials/a-slide-in-napari"

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        keep_badge(napari_viewer)
        self.form = SlideForm(self)
        self._fill(self.form)
        self._camera_moves = QSignalThrottler(QSignalThrottler.EmissionPolicy.Trailing, self)
        self._camera_moves.setTimeout(_CAMERA_MS)
        self._camera_moves.triggered.connect(self._on_triggered)
        self._connect()
        self._layer = slide_layer_in(napari_viewer)
        self._show_slide()
        self._look_for_recent()

    @property
    def layer(self) -> Image | None:
        """The layer that this is about."""
        return self._layer

    def open_slide(self, path: str | Path, image: int | None = None) -> None:
        """Open a slide with this plugin, whatever napari's default is; returns at once.

        Parameters
        ----------
        path : path-like
            The file.
        image : int, optional
            Which one of a file that holds several.
        """
        self._open(Path(path), image)

    def open_sample(self) -> None:
        """Open the sample slide, once it is fetched; returns at once."""
        self._open(sample_slide)

    def show_slide(self, layer: Image) -> None:
        """Show one of the slides that are open, and put the others away."""
        show_slide(self._viewer, layer)
        self._follow()

    def show_image(self, number: int) -> None:
        """Show another image of the slide's file; opened once, as a slide of its own."""
        slide = slide_of(self._layer)
        if slide is None or number == slide.image:
            return
        for layer in slides_in(self._viewer):
            other = slide_of(layer)
            if other is not None and (other.path, other.image) == (slide.path, number):
                self.show_slide(layer)
                return
        self._open(slide.path, number)

    def _open(self, path: Path | Callable[[], Path], image: int | None = None) -> None:
        self._allow_opening(False)
        self.form.open.setText("Opening…")
        open_in(self._viewer, path, self._show_open_button, image)

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
        form.sample.clicked.connect(self.open_sample)
        form.recent_menu.aboutToShow.connect(self._show_recent)
        form.slides.activated.connect(self._switch)
        form.image.combo.activated.connect(self.show_image)
        for label, button in form.scanned.items():
            button.clicked.connect(partial(self._set_scanned, label))
        form.scanned_otherwise.clicked.connect(self._type_mpp)
        form.overview.chosen.connect(self._look_at)
        form.mpp.editingFinished.connect(self._set_mpp)
        form.edit_mpp.toggled.connect(self._edit_mpp)
        form.icc.clicked.connect(self._set_icc)
        form.copy.clicked.connect(self.copy_command)
        form.levels.cellDoubleClicked.connect(self._zoom_to_level)
        for label, button in form.jumps.items():
            button.clicked.connect(partial(self._jump, label))
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._follow)
        viewer.scene.camera.events.connect(self._camera_moved)
        viewer.canvas.events.size.connect(self._camera_moved)

    def _ask(self) -> None:
        path = ask_for_slide(self)
        if path is not None:
            self.open_slide(path)

    def _show_open_button(self) -> None:
        if isalive(self):  # the window may have gone while the slide was read
            self.form.open.setText("Open slide…")
            self._allow_opening(True)
            self._show_images()

    def _allow_opening(self, on: bool) -> None:
        for button in (self.form.open, self.form.sample, self.form.image):
            button.setEnabled(on)
        self._show_recent_button()

    def _look_for_recent(self, opened: Path | None = None) -> None:
        """Offer the slides that were opened before, now with one more."""
        me = weakref.ref(self)  # the window may be closed meanwhile

        def work() -> None:
            if opened is not None:
                SLIDES.note_opened(opened)
            SLIDES.look()

        def show(_: None) -> None:
            dock = me()
            if dock is not None and isalive(dock):
                dock._show_recent_button()

        self._show_recent_button()
        in_background(work, show)

    def _show_recent_button(self) -> None:
        some = bool(SLIDES.recent)
        self.form.recent.setEnabled(some and self.form.open.isEnabled())
        tip = "Slides that you opened before" if some else "You have opened no slide yet"
        self.form.recent.setToolTip(tip)

    def _show_recent(self) -> None:
        menu = self.form.recent_menu
        menu.clear()
        for path in SLIDES.recent:
            action = menu.addAction(path.name)
            action.setToolTip(str(path))
            # The signal's own argument would be taken for the number of an image.
            action.triggered.connect(lambda _=False, path=path: self._open(path))

    def _on_inserted(self, event: Any) -> None:
        if not isalive(self):  # napari's events outlive the dock
            return
        slide = slide_of(event.value)
        if slide is not None:
            bring_up(self._viewer, event.value)
            # From the menu it could not be opened again: that chooses no image.
            self._look_for_recent(None if slide.asks_for_image else slide.path)
        self._follow()
        self._show_slides()

    def _on_removed(self, event: Any) -> None:
        if not isalive(self):
            return
        self._follow()
        if slide_of(event.value) is not None:
            slides = slides_in(self._viewer)
            if slides and not any(layer.visible for layer in slides):
                show_slide(self._viewer, slides[-1])
        self._show_slides()

    def _switch(self, index: int) -> None:
        slides = slides_in(self._viewer)
        if index < len(slides):
            self.show_slide(slides[index])

    def _show_slides(self) -> None:
        """The slides that are open, and which of them this is about."""
        combo, slides = self.form.slides, slides_in(self._viewer)
        with QSignalBlocker(combo):
            combo.clear()
            for index, layer in enumerate(slides):
                slide = slide_of(layer)
                if slide is None:
                    continue
                combo.addItem(slide_name(slide, ending=True))
                tip = f"{slide.path}\nFormat: {slide.format}"
                combo.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)
                if layer == self._layer:
                    combo.setCurrentIndex(index)
                    combo.setToolTip(f"{tip}\nOne slide is shown at a time; choose another here")
        combo.setVisible(bool(slides))

    def _show_images(self) -> None:
        """The images of the slide's file, and which of them this is; nothing if there is one."""
        form, slide = self.form, slide_of(self._layer)
        if slide is not None:
            form.image.show_images(slide.images, slide.image)
            form.form.setRowVisible(form.image, len(slide.images) > 1)

    def _follow(self, *_: object) -> None:
        layer = slide_layer_in(self._viewer, self._layer)
        # napari hands out a new proxy each time, so that `is` would never hold
        if layer != self._layer:
            self._layer = layer
            self._show_slide()

    def _show_slide(self) -> None:
        form, slide = self.form, slide_of(self._layer)
        form.details.setVisible(slide is not None)
        form.more_details.setVisible(slide is not None and form.more.isChecked())
        self._show_slides()
        if slide is None:
            form.overview.show_picture(None, Size(1, 1), Size(1, 1))
            return
        form.size.setText(size_text(slide.size, slide.mpp).replace(" · ", "\n"))
        self._show_images()
        self._show_mpp()
        for jump in jumps(slide.mpp):
            button = form.jumps[jump.label]
            button.setText(jump.text)
            button.setToolTip(jump.explanation)
            button.setEnabled(jump.pixel is not None)
        has_profile = slide.icc_profile is not None
        form.more_form.setRowVisible(form.icc, has_profile)
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
        form.form.setRowVisible(form.ask_scanned, slide.mpp is None)
        form.ask_scanned.setToolTip(slide.mpp_note or "")
        size_note = None if slide.mpp is None else slide.mpp_note  # else the question says it
        if slide.mpp_by_user:
            size_note = "pixel size set by you, under Details"
        said = (None, slide.image_note)  # by the list of images
        notes = list(dict.fromkeys(n for n in (size_note, *slide.notes) if n not in said))
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
        self._set_pixel_size(mpp or None)

    def _set_pixel_size(self, mpp: float | None) -> None:
        self._replace(lambda slide: with_pixel_size(slide, mpp, icc=wants_icc(slide)))

    def _set_scanned(self, label: int, *_: object) -> None:
        """The magnification that the slide was scanned at, where its file does not say."""
        slide = slide_of(self._layer)
        if slide is not None:
            self._set_pixel_size(MAGNIFICATIONS[label])

    def _type_mpp(self) -> None:
        self.form.more.setChecked(True)
        self._edit_mpp(True)

    def _set_icc(self, on: bool) -> None:
        slide = slide_of(self._layer)
        if slide is not None:
            self._replace(lambda slide: reopened(slide, mpp=user_mpp(slide), icc=on))

    def _replace(self, work: Callable[[Slide], Opened]) -> None:
        """Show what ``work`` makes of the slide, in its layer; in a thread, for it reads files."""
        layer, slide = self._layer, slide_of(self._layer)
        if layer is None or slide is None:
            return

        def show(opened: Opened) -> None:
            if isalive(self) and holds(self._viewer, layer):
                replace_in(self._viewer, layer, opened)
                self._show_slide()

        def refuse(message: str) -> None:
            show_error(message)
            if isalive(self):
                self._show_slide()

        in_background(lambda: work(slide), show, refuse)
