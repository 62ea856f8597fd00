"""The Enhance dock: reads its widgets into a job, hands it over, shows what comes back."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import show_error
from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.plugin.badge import keep_badge
from napari_cwtnet.plugin.badge_glyphs import prepare_badge
from napari_cwtnet.plugin.checking import Checker
from napari_cwtnet.plugin.docks.enhance_panel import EnhancePanel
from napari_cwtnet.plugin.docks.resting import Resting
from napari_cwtnet.plugin.docks.scrolling import fill
from napari_cwtnet.plugin.enhance_choice import check_job, chosen_header, roi_job, view_job
from napari_cwtnet.plugin.enhance_run import Job
from napari_cwtnet.plugin.enhance_words import of_the_roi, what_will_happen
from napari_cwtnet.plugin.enhancing import Enhancer
from napari_cwtnet.plugin.following import source_layer_in
from napari_cwtnet.plugin.results import Source, follow_shown
from napari_cwtnet.plugin.slide_layer import slide_of


class EnhanceDock(QWidget):
    """Enhance what is on the screen or a region of interest, or check the model there.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.controller = Enhancer(napari_viewer, self)
        self.checker = Checker(self.controller.engines, self)
        keep_badge(napari_viewer)
        prepare_badge(napari_viewer, self)
        self._layer: Any = None
        self._last_view: Job | None = None
        panel = self.panel = EnhancePanel(napari_viewer, self._view_source, self.controller.keep)
        self.view_button, self.roi_button = panel.view_button, panel.roi_button
        self.cancel_button, self.release_button = panel.cancel_button, panel.release_button
        self.live, self.form, self.quality = panel.live, panel.form, panel.quality
        self.compare, self.result = panel.compare, panel.result
        fill(self, panel)
        self._rest = Resting(self, self._on_rest)
        self._connect()
        self._on_rest()
        self._show_run()

    def enhance_view(self) -> None:
        """Enhance what the canvas shows."""
        self._start(view_job)

    def enhance_roi(self) -> None:
        """Enhance the bounding box of the selected shape."""
        self._start(roi_job)

    def check_here(self) -> None:
        """Measure the model on what the canvas shows, in place of whatever is at work."""
        layer = self._layer = source_layer_in(self._viewer, self._layer)
        try:
            job, _ = check_job(self._viewer, layer, self.form.choice)
        except CwtnetError as error:
            show_error(str(error))
            self._on_rest()
            return
        self.controller.cancel()
        self.checker.start(job, layer)

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
            self.live.setChecked(False)
            self.controller.leave()
            self.checker.runner.cancel()
            self.compare.stop()

    def _connect(self) -> None:
        self.view_button.clicked.connect(lambda _: self.enhance_view())
        self.roi_button.clicked.connect(lambda _: self.enhance_roi())
        self.panel.check_button.clicked.connect(lambda _: self.check_here())
        self.cancel_button.clicked.connect(lambda _: self._cancel())
        self.release_button.clicked.connect(lambda _: self.controller.release_memory())
        self.live.toggled.connect(lambda _: self._on_live())
        self.form.changed.connect(self._on_rest)
        self.controller.changed.connect(self._show_run)
        self.controller.finished.connect(lambda _: self.panel.show_outcome(self.controller.outcome))
        self.checker.changed.connect(self._show_check)
        self.checker.runner.changed.connect(self._show_run)
        self.checker.runner.ended.connect(self.panel.show_check_ending)
        self._rest.follow(self._viewer)
        follow_shown(self._viewer, self._show_figures)
        self.compare.comparer.changed.connect(self._show_figures)
        self._viewer.layers.events.removed.connect(self._on_removed)

    def _on_removed(self, event: Any) -> None:
        if isalive(self):  # napari's events outlive the dock
            self.controller.forget_layer(event.value)
            self.checker.forget_layer(event.value)

    def _on_rest(self) -> None:
        """Say what would happen now; do it where Live is on."""
        layer = self._layer = source_layer_in(self._viewer, self._layer)
        self.form.set_slide(slide_of(layer))
        job, plan, sentence = self._preview(view_job, layer)
        _, roi, roi_sentence = self._preview(roi_job, layer)
        shown = sentence if roi is None else f"{sentence}\n{of_the_roi(roi)}"
        self.panel.sentence.setText(shown)
        self.panel.allow_view(plan is not None, sentence)
        self.panel.allow_roi(roi is not None, roi_sentence)
        try:
            _, what = check_job(self._viewer, layer, self.form.choice)
        except CwtnetError as error:
            self.panel.allow_check(False, str(error))
        else:
            self.panel.allow_check(True, what)
        self._show_check()
        try:
            self.form.set_scale(chosen_header(self.form.choice).scale)
        except CwtnetError:
            self.form.set_scale(None)
        if self.live.isChecked() and job is not None and job != self._last_view:
            self._last_view = job
            self._begin(job, layer)

    def _on_live(self) -> None:
        """Begin at once, even with a view that was enhanced, cancelled or deleted before."""
        self._last_view = None
        self._on_rest()

    def _preview(self, make: Any, layer: Any) -> tuple[Job | None, Plan | None, str]:
        try:
            job, plan = make(self._viewer, layer, self.form.choice)
        except CwtnetError as error:
            return None, None, str(error)
        return job, plan, what_will_happen(plan)

    def _view_source(self) -> Source:
        layer = source_layer_in(self._viewer, self._layer)
        return Source(*view_job(self._viewer, layer, self.form.choice), layer)

    def _start(self, make: Any) -> None:
        layer = self._layer = source_layer_in(self._viewer, self._layer)
        try:
            job, _ = make(self._viewer, layer, self.form.choice)
        except CwtnetError as error:
            show_error(str(error))
            self._on_rest()
            return
        if make is view_job:
            self._last_view = job
        self._begin(job, layer)

    def _begin(self, job: Job, layer: Any) -> None:
        self.checker.runner.cancel()
        self.controller.start(job, layer)

    def _cancel(self) -> None:
        self.live.setChecked(False)
        self.controller.cancel()
        self.checker.runner.cancel()

    def _show_check(self) -> None:
        """Of the slide that the dock is about."""
        found = self.checker.found
        about = found is not None and found.slide_layer == self._layer
        self.panel.check.show_check(found if about else None)

    def _show_run(self) -> None:
        self.panel.show_run(self.controller, self.checker)
        self._show_figures()

    def _show_figures(self, *_: Any) -> None:
        """Of the result that is shown, which need not be the last one."""
        if isalive(self) and not self.controller.busy:  # napari's events outlive the dock
            self.panel.show_figures(self._viewer)
