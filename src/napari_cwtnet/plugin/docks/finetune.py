"""The Fine-tune dock: reads its widgets into a job, hands it over, shows what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Shapes
from napari.utils.notifications import show_error
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.plugin.command_line import command_line
from napari_cwtnet.plugin.docks.finetune_form import FinetuneForm
from napari_cwtnet.plugin.docks.finetune_panel import FinetunePanel
from napari_cwtnet.plugin.docks.parts import copy
from napari_cwtnet.plugin.docks.resting import Resting
from napari_cwtnet.plugin.docks.resume_menu import ResumeMenu
from napari_cwtnet.plugin.docks.scrolling import fill
from napari_cwtnet.plugin.finetune_choice import FinetunePlan, finetune_plan
from napari_cwtnet.plugin.finetune_command import finetune_words
from napari_cwtnet.plugin.finetune_run import FinetuneJob, Outcome
from napari_cwtnet.plugin.finetune_words import what_will_be_learnt, what_will_go_on
from napari_cwtnet.plugin.finetuning import Finetuner
from napari_cwtnet.training.run_folder import read_run


class FinetuneDock(QWidget):
    """Let a model go on learning from the slides at hand.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.controller = Finetuner(self)
        self.form, self.panel = FinetuneForm(), FinetunePanel()
        self._menu = ResumeMenu(self)
        self.panel.resume_button.setMenu(self._menu)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.panel.choices_button)
        layout.addWidget(self.form)
        layout.addWidget(self.panel)
        fill(self, content)
        self._rest = Resting(self, self._on_rest)
        self._connect()
        self._on_layers()
        self._on_rest()
        self._show_run()

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

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """End the work when the dock is taken out of its window."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.controller.abandon()

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
        panel.stop_button.clicked.connect(lambda _: controller.stop())
        self._menu.chosen.connect(self.resume)
        self.form.changed.connect(self._rest.start)
        self.form.slides.changed.connect(self._on_layers)
        controller.changed.connect(self._show_run)
        controller.finished.connect(self._show_outcome)
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
            self.form.show_layers(list(self._viewer.layers))
            self._rest.start()

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

    def _pause_or_go_on(self) -> None:
        run = self.controller.run
        if run is not None and run.paused:
            self.controller.go_on()
        else:
            self.controller.pause()

    def _show_run(self) -> None:
        self.panel.show_run(self.controller.run, busy=self.controller.busy)

    def _show_outcome(self, outcome: Outcome) -> None:
        if outcome.kind == "failed":
            show_error(outcome.message)
