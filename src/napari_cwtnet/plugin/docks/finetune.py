"""The Fine-tune dock: reads its widgets into a job, hands it over, shows what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.layers import Shapes
from napari.utils.notifications import show_error
from napari.utils.theme import get_theme
from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.plugin.docks.dock import Dock
from napari_cwtnet.plugin.docks.finetune_form import FinetuneForm
from napari_cwtnet.plugin.docks.preview_strip import PreviewStrip
from napari_cwtnet.plugin.docks.widgets import DECIBELS, copy, show_progress, words_label
from napari_cwtnet.plugin.tasks.finetune import FinetuneJob, Finetuner, FinetuneRun
from napari_cwtnet.plugin.viewer.command_line import command_line
from napari_cwtnet.plugin.viewer.finetune_request import FinetunePlan, finetune_plan, finetune_words
from napari_cwtnet.plugin.viewer.wording import (
    finetune_progress_words,
    gain_words,
    what_will_be_learnt,
    what_will_go_on,
)
from napari_cwtnet.training.run_folder import RunFolder, read_run, unfinished_runs, user_runs_folder

_PARTS = 1000
_NO_CURVES = "Loss and PSNR are drawn where pyqtgraph is installed: pip install pyqtgraph"


class FinetunePanel(QWidget):
    """Everything below the choices, with nothing behind it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.choices_button = _choices_button()
        self.start_button = QPushButton("Start")
        self.new_button = QPushButton("New run…")
        self.new_button.setToolTip("Choose what to learn from next")
        self.new_button.clicked.connect(lambda _: self.choices_button.setChecked(True))
        self.pause_button = QPushButton("Pause")
        self.stop_button = QPushButton("Stop")
        self.resume_button = QPushButton("Resume")
        self.pause_button.setToolTip("Pause; paused time is not counted")
        self.stop_button.setToolTip("End after the current step; the best model is kept")
        self.resume_button.setToolTip("Resume a run that was stopped or interrupted")
        self.copy_button = QPushButton("Copy as command")
        self.copy_button.setToolTip("Copy the command line that does what Start would do")
        self.sentence, self.status, self.gain = (words_label() for _ in range(3))
        self.gain.setToolTip(DECIBELS)
        self.bar = QProgressBar()
        self.bar.setRange(0, _PARTS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.curves: Any = _curves()
        self.strip = PreviewStrip()
        buttons = QHBoxLayout()
        for button in (
            self.start_button, self.new_button, self.resume_button, self.pause_button,
            self.stop_button,
        ):  # fmt: skip
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.sentence)
        layout.addLayout(buttons)
        self._of_run = (self.bar, self.status, self.gain, self.curves, self.strip)
        for part in self._of_run:
            layout.addWidget(part)
        layout.addWidget(self.copy_button)

    def set_theme(self, name: str) -> None:
        """Draw in the colours of a napari theme."""
        if hasattr(self.curves, "set_colours"):
            theme = get_theme(name)
            self.curves.set_colours(theme.background.as_hex(), theme.text.as_hex())

    def show_plan(self, sentence: str, *, ready: bool) -> None:
        """Say what Start would do, or why it cannot be pressed."""
        self.sentence.setText(sentence)
        self.start_button.setEnabled(ready)
        self.start_button.setToolTip("Begin" if ready else sentence)

    def show_run(self, run: FinetuneRun | None, *, busy: bool) -> None:
        """Show where a run is, or how it ended."""
        choosing = self.choices_button.isChecked()
        for part in self._of_run:
            part.setVisible(run is not None)
        for button, shown in (
            (self.start_button, choosing and not busy),
            (self.new_button, not choosing and not busy),
            (self.resume_button, not busy),
            (self.pause_button, busy),
            (self.stop_button, busy),
        ):
            button.setVisible(shown)
        at_work = busy and run is not None and not run.stopping
        paused = run is not None and run.paused
        self.pause_button.setText("Go on" if paused else "Pause")
        self.pause_button.setEnabled(at_work)
        self.stop_button.setEnabled(at_work)
        if run is None:
            return
        # of no length, and moving, while nobody knows how much there is to read
        parts = 0 if run.phase == "loading" and busy else _PARTS
        show_progress(self.bar, round(parts * run.share), parts)
        self.bar.setVisible(busy)
        self.status.setText(finetune_progress_words(run))
        self.gain.setText(gain_words(run.history))
        self.gain.setVisible(bool(self.gain.text()))
        if hasattr(self.curves, "show_history"):
            self.curves.show_history(run.history)
        self.strip.show_preview(run.latest_preview)


def _choices_button() -> QToolButton:
    button = QToolButton()
    button.setText("Choices")
    button.setCheckable(True)
    button.setChecked(True)
    button.setAutoRaise(True)
    button.setArrowType(Qt.ArrowType.DownArrow)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.toggled.connect(
        lambda on: button.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
    )
    return button


def _curves() -> Any:
    try:
        from napari_cwtnet.plugin.docks.curves import Curves
    except ModuleNotFoundError:
        label = words_label()
        label.setText(_NO_CURVES)
        return label
    return Curves()


class ResumeMenu(QMenu):
    """Unfinished runs among the user's, and any other folder.

    Attributes
    ----------
    chosen : Signal(Path)
        Folder of the run to go on with.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Look again for runs."""
        self.clear()
        self.setToolTipsVisible(True)
        runs = unfinished_runs(user_runs_folder())
        for run in runs:
            action = self.addAction(run_words(run))
            action.setToolTip(str(run.path))
            action.triggered.connect(lambda _=False, path=run.path: self.chosen.emit(path))
        if not runs:
            self.addAction("No unfinished run").setEnabled(False)
        self.addSeparator()
        self.addAction("Other folder…").triggered.connect(lambda _=False: self._ask())

    def _ask(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self.parentWidget(), "Folder of a run", str(user_runs_folder())
        )
        if name:
            self.chosen.emit(Path(name))


def run_words(run: RunFolder) -> str:
    """A run in a menu, such as ``"mine · step 120, 40 % · 2026-11-23 10:15"``."""
    touched = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.path.stat().st_mtime))
    return f"{run.path.name} · step {run.step:,}, {run.share:.0%} · {touched}"


class FinetuneDock(Dock):
    """Train a model further on the open slides.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    help_page = "how-to/fine-tune"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.controller = Finetuner(self)
        self._layers_changed = True
        self._form, self.panel = FinetuneForm(), FinetunePanel()
        self._menu = ResumeMenu(self)
        self.panel.resume_button.setMenu(self._menu)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.panel.choices_button)
        layout.addWidget(self.form)
        layout.addWidget(self.panel)
        self._fill(content)
        self._connect()
        self.show_all()

    @property
    def form(self) -> FinetuneForm:
        """The choices, among the layers that there are now."""
        self._offer_layers()
        return self._form

    def start(self) -> None:
        """Begin what the sentence says."""
        try:
            plan = finetune_plan(self.form.choice)
            self._begin(plan.job, what_will_be_learnt(plan))
        except CwtnetError as error:
            show_error(str(error))

    def resume(self, folder: Path) -> None:
        """Go on with the run in a folder."""
        try:
            self._begin(FinetuneJob(folder), what_will_go_on(read_run(folder)))
        except CwtnetError as error:
            show_error(str(error))

    def copy_command(self) -> str | None:
        """Put the command line on the clipboard that does what Start would do; gives it."""
        choice = self.form.choice
        try:
            line = command_line(finetune_words(finetune_plan(choice), choice.recipe))
        except CwtnetError as error:
            show_error(str(error))
            return None
        copy(line)
        return line

    @property
    def sentence(self) -> str:
        """What will happen, or why nothing can, as shown."""
        return self.panel.sentence.text()

    @property
    def status(self) -> str:
        """What is happening or has happened, as shown."""
        return self.panel.status.text()

    def leave(self) -> None:
        """End the work when the dock is taken out of its window."""
        self.controller.cancel()

    def show_all(self) -> None:
        """Offer what can be learnt from; say what would happen and what happens."""
        self._on_rest()
        self._show_run()

    def _begin(self, job: FinetuneJob, sentence: str) -> None:
        self.controller.start(job)
        self.panel.show_plan(sentence, ready=True)
        self.panel.choices_button.setChecked(False)

    def _connect(self) -> None:
        panel, controller = self.panel, self.controller
        panel.choices_button.toggled.connect(self._show_choices)
        panel.copy_button.clicked.connect(lambda _: self.copy_command())
        panel.start_button.clicked.connect(lambda _: self.start())
        panel.pause_button.clicked.connect(lambda _: self._pause_or_go_on())
        panel.stop_button.clicked.connect(lambda _: self.stop())
        self._menu.chosen.connect(self.resume)
        self.form.changed.connect(self._rest.on_change)
        self.form.slides.changed.connect(self._on_layers)
        controller.changed.connect(self._on_run)
        layers = self._viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._on_layers)
        for layer in layers:
            self._watch(layer)
        self._viewer.events.theme.connect(self._on_theme)
        self._on_theme()

    def _watch(self, layer: Any) -> None:
        layer.events.name.connect(self._on_layers)
        layer.events.metadata.connect(self._on_layers)
        if isinstance(layer, Shapes):
            layer.events.data.connect(self._rest.on_change)

    def _on_inserted(self, event: Any) -> None:
        if isalive(self):  # napari's events outlive the widget
            self._watch(event.value)
            self._on_layers()

    def _on_layers(self, *_: Any) -> None:
        if isalive(self):
            self._layers_changed = True
            if self.in_sight:
                self._offer_layers()
            self._rest.on_change()

    def _offer_layers(self) -> None:
        if self._layers_changed:
            self._layers_changed = False
            self._form.show_layers(list(self._viewer.layers))

    def _show_choices(self, shown: bool) -> None:
        self.form.setVisible(shown)
        self._show_run()
        self._on_rest()

    def _on_theme(self, *_: Any) -> None:
        if isalive(self):
            self.panel.set_theme(self._viewer.theme)

    def _on_rest(self) -> None:
        """Say what would happen now; below closed choices, what the last run did stays there."""
        if self.controller.busy or not self.panel.choices_button.isChecked():
            return
        plan, sentence = self._preview()
        self.panel.show_plan(sentence, ready=plan is not None)

    def _preview(self) -> tuple[FinetunePlan | None, str]:
        try:
            plan = finetune_plan(self.form.choice)
        except CwtnetError as error:
            return None, str(error)
        return plan, what_will_be_learnt(plan)

    def stop(self) -> None:
        """End the run after its current step; the best model is kept."""
        self._tell(FinetuneRun.stop)

    def _pause_or_go_on(self) -> None:
        run = self.controller.run
        self._tell(FinetuneRun.go_on if run is not None and run.paused else FinetuneRun.pause)

    def _tell(self, what: Callable[[FinetuneRun], None]) -> None:
        run = self.controller.run
        if self.controller.busy and run is not None:
            what(run)
            self._show_run()

    def _on_run(self) -> None:
        if self.in_sight or not self.controller.busy:
            self._show_run()
        else:
            self._behind = True

    def _show_run(self) -> None:
        self.panel.show_run(self.controller.run, busy=self.controller.busy)
