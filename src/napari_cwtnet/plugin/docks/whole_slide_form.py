"""The form that writes a whole slide to a file: place, format, what it takes; start and pause."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.compat import isalive
from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.plugin.docks.widgets import (
    Combo,
    copy,
    enable,
    form_layout,
    show_progress,
    thin_bar,
    words_label,
)
from napari_cwtnet.plugin.reader import open_in
from napari_cwtnet.plugin.tasks.enhance import Job
from napari_cwtnet.plugin.tasks.runner import Ending, in_background
from napari_cwtnet.plugin.tasks.whole_slide import (
    DICOM,
    Place,
    TileTimer,
    WholeSlide,
    format_of,
    look_at,
    note_place,
    place_for,
)
from napari_cwtnet.plugin.viewer.canvas import ask_before_closing, real_viewer
from napari_cwtnet.plugin.viewer.whole_slide import (
    FORMATS,
    command_of,
    file_job,
    place_words,
    run_words,
    what_will_be_written,
    with_format,
    without_dicom,
)

_WIDTH = 480
_LINES = 4
_TYPING_MS = 250
"""How long the place has to stay as it is before the disk is asked about it."""

_PAUSED = (
    "Paused: finished blocks are kept, also when the window is closed; the block at work, about "
    "100 tiles, starts again."
)


class WholeSlideForm(QDialog):
    """Beside the dock; the work goes on while it is closed.

    Parameters
    ----------
    parent : QWidget
        The dock's; the work ends with it.
    viewer : Viewer
        Where the image is opened once it is there.
    """

    def __init__(self, parent: QWidget, viewer: Any) -> None:
        super().__init__(parent)
        self.setWindowTitle("Whole slide")
        self.setMinimumWidth(_WIDTH)
        self._viewer = viewer
        self._jobs: dict[str, tuple[Job, Plan]] = {}
        self._seconds: float | None = None
        self._asked = 0
        self._place: Place | None = None
        self.work, self.timing = WholeSlide(self), TileTimer(self)
        self.what = Combo(tip="The whole slide, or a selected region of any size")
        self.format = Combo(FORMATS)
        self._offer_dicom()
        self.line = QLineEdit()
        self.line.setToolTip("Where the image is to go; remembered for this slide")
        browse = QPushButton("…")
        browse.setToolTip("Choose the place")
        self.sentence, self.status = words_label(_LINES), words_label(2)
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.bar = thin_bar(keep_place=True)
        self.bar.hide()
        self.start_button, self.pause_button = QPushButton("Start"), QPushButton("Pause")
        self.copy_button, close = QPushButton("Copy as command"), QPushButton("Close")
        self.copy_button.setToolTip("Copy the command line that writes it, or continues it")
        close.setToolTip("The work goes on while this is closed")
        for button in (self.start_button, self.pause_button, self.copy_button, close):
            button.setAutoDefault(False)
        form, place, buttons = form_layout(self), QHBoxLayout(), QHBoxLayout()
        form.setContentsMargins(12, 12, 12, 12)
        place.addWidget(self.line, 1)
        place.addWidget(browse)
        for button in (self.start_button, self.pause_button, self.copy_button, close):
            buttons.addWidget(button, 1)
        form.addRow("What", self.what)
        form.addRow("Format", self.format)
        form.addRow("Place", place)
        for widget in (self.sentence, self.bar, self.status):
            form.addRow(widget)
        form.addRow(buttons)
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(_TYPING_MS)
        self._typing.timeout.connect(self._look)
        self.what.currentIndexChanged.connect(lambda _: self._on_what())
        self.format.currentIndexChanged.connect(lambda _: self._on_format())
        self.line.textChanged.connect(lambda _: self._on_place())
        browse.clicked.connect(lambda _: self._browse())
        self.start_button.clicked.connect(lambda _: self.start())
        self.pause_button.clicked.connect(lambda _: self.work.cancel())
        self.copy_button.clicked.connect(lambda _: self.copy_command())
        close.clicked.connect(lambda _: self.hide())
        self.work.changed.connect(self.refresh)
        self.work.ended.connect(self._on_end)

    @property
    def place(self) -> Path:
        """Where the image is to go."""
        return Path(os.path.expanduser(self.line.text().strip()))  # noqa: PTH111 - never raises

    def open_for(self, jobs: dict[str, tuple[Job, Plan]]) -> None:
        """Show the form for what can be written now; one at work stays as it is.

        Parameters
        ----------
        jobs : dict
            The whole slide under an empty name, and ROIs by theirs.
        """
        if not self.work.busy:
            self._jobs = jobs
            with QSignalBlocker(self.what):
                self.what.clear()
                for name in jobs:
                    self.what.add(name or "The whole slide", name, "")
            self.status.clear()
            self._on_what()
        self.show()
        self.raise_()

    def start(self) -> None:
        """Begin, or continue what is unfinished at the place; an error is shown in one line."""
        job, place = self._job[0], self.place
        self.timing.cancel()
        if self._seconds is None:
            self._seconds = math.nan
        in_background(lambda: note_place(job, place), lambda _: None)
        viewer = real_viewer(self._viewer)
        asking = ask_before_closing(f"writing {place.name}", self.work.cancel)

        def done(path: Path) -> None:
            show_info(f"Written: {path.name}, and its record {path.name}.json")
            open_in(viewer, path)

        try:
            self.work.start(file_job(job), place, done, asking)
        except CwtnetError as error:
            asking()
            show_error(str(error))

    def leave(self) -> None:
        """End the work, which can be resumed."""
        self.timing.cancel()
        self.work.cancel()

    def copy_command(self) -> str:
        """Put the command line on the clipboard; gives it."""
        job, _ = self._job
        line = command_of(job, job.slide, self.place)
        copy(line)
        return line

    def refresh(self) -> None:
        """Show what would be written, and how far the work is."""
        busy, run, there = self.work.busy, self.work.run, self._place
        known = there is not None and there.path == self.place
        ready = known and there is not None and not there.trouble
        if self._jobs:
            words = what_will_be_written(self._job[1], self.place, self._seconds)
            self.sentence.setText(words)
        resume = known and there is not None and there.unfinished
        self.start_button.setText("Resume" if resume else "Start")
        hindrance = "It is at work." if busy else "" if ready else "Choose another place."
        enable(self.start_button, not hindrance, hindrance or "Write the image, block by block")
        pausing = self.work.cancelling
        tip = (
            "Finished blocks are kept; the one at work starts again"
            if busy
            else "Nothing is running"
        )
        enable(self.pause_button, busy and not pausing, tip)
        self.copy_button.setEnabled(ready or busy)
        for widget in (self.what, self.format, self.line):
            widget.setEnabled(not busy)
        self.bar.setVisible(busy)
        if busy:
            self.status.setText(run_words(run, pausing=pausing))
            show_progress(self.bar, *self.work.progress)

    @property
    def _job(self) -> tuple[Job, Plan]:
        return self._jobs[self.what.currentData() or ""]

    def _on_what(self) -> None:
        """Suggest a place, and measure how long a tile takes."""
        job, _ = self._job
        self._asked += 1
        asked, self._seconds, self._place = self._asked, None, None
        with QSignalBlocker(self.line):
            self.line.clear()

        def still_asked() -> bool:
            return isalive(self) and asked == self._asked

        def suggest(place: Path) -> None:
            if still_asked() and not self.line.text():
                with QSignalBlocker(self.format):
                    self._choose_format(place)
                self.line.setText(str(place))
                self._look()

        def measured(ending: Ending) -> None:
            self._seconds = ending.value if ending.kind == "done" else math.nan
            if ending.message:
                self.status.setText(ending.message)
            self.refresh()

        in_background(lambda: place_for(job), suggest)
        self.timing.start(job, measured)
        self.refresh()

    def _offer_dicom(self) -> None:
        """Let DICOM be chosen where it can be written, else say what is missing."""
        trouble, index = without_dicom(), self.format.findData(DICOM)
        item = self.format.model().item(index)
        if trouble and item is not None:
            item.setEnabled(False)
            item.setToolTip(trouble)

    def _choose_format(self, place: Path) -> None:
        self.format.setCurrentIndex(self.format.findData(format_of(place)))

    def _on_format(self) -> None:
        ending = self.format.currentData()
        if self.line.text():
            self.line.setText(str(with_format(self.place, ending)))

    def _on_place(self) -> None:
        with QSignalBlocker(self.format):
            self._choose_format(self.place)
        self.status.clear()
        self._typing.start()
        self.refresh()

    def _look(self, *, keep_words: bool = False) -> None:
        """See what is at the place, beside the window's thread; an end is still shown."""
        if not self._jobs or self.work.busy:
            return
        job, plan = self._job
        path = self.place

        def answer(place: Place) -> None:
            if isalive(self) and place.path == self.place and not self.work.busy:
                self._place = place
                if not keep_words:
                    self.status.setText(place_words(place))
                self.refresh()

        size, mpp = plan.output_size, plan.output_mpp
        in_background(lambda: look_at(path, job.slide.path, size, mpp), answer)

    def _browse(self) -> None:
        ending = self.format.currentData()
        name, _ = QFileDialog.getSaveFileName(
            self,
            "Where the image is to go",
            self.line.text(),
            f"{FORMATS[ending][0]} (*{ending})",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if name:
            self.line.setText(str(with_format(Path(name), ending)))

    def _on_end(self, ending: Ending) -> None:
        self.status.setText(
            {
                "done": f"Written: {self.place.name}.",
                "cancelled": _PAUSED,
                "failed": ending.message,
            }[ending.kind]
        )
        self._look(keep_words=True)
        self.refresh()
