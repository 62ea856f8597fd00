"""The Enhance dock: reads its widgets into a job, hands it over, shows what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.utils.notifications import show_error
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.geometry import Region, magnification
from napari_cwtnet.plugin.docks.compare_form import CompareForm
from napari_cwtnet.plugin.docks.dock import Dock
from napari_cwtnet.plugin.docks.mark_form import MarkForm
from napari_cwtnet.plugin.docks.model_form import ModelForm
from napari_cwtnet.plugin.docks.quality_table import CheckResult, QualityTable
from napari_cwtnet.plugin.docks.result_form import ResultForm
from napari_cwtnet.plugin.docks.shortcuts import register_keys, with_key
from napari_cwtnet.plugin.docks.whole_slide_form import WholeSlideForm
from napari_cwtnet.plugin.docks.widgets import enable, show_progress, thin_bar, words_label
from napari_cwtnet.plugin.tasks.device import ENGINES
from napari_cwtnet.plugin.tasks.enhance import Checker, Job
from napari_cwtnet.plugin.tasks.runner import Ending
from napari_cwtnet.plugin.tasks.whole_slide import WholeSlide
from napari_cwtnet.plugin.viewer.badge import keep_badge, prepare_badge
from napari_cwtnet.plugin.viewer.requests import (
    Choice,
    NothingToGainError,
    check_job,
    roi_jobs,
    view_job,
    whole_jobs,
)
from napari_cwtnet.plugin.viewer.result_layer import Enhancer
from napari_cwtnet.plugin.viewer.rois import shapes_left_out
from napari_cwtnet.plugin.viewer.selection import Source, follow_shown, quality_of, source_layer_in
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.stain_hint import StainHints
from napari_cwtnet.plugin.viewer.viewport import zoom_to
from napari_cwtnet.plugin.viewer.wording import (
    gain_of,
    of_the_rois,
    progress_words,
    what_will_happen,
)

_LINES, _STATUS_LINES = 7, 2
"""Of the sentence on what will happen, and of what is happening."""


class EnhancePanel(QWidget):
    """Buttons, choices, progress and figures; what can be done with a result.

    Parameters
    ----------
    viewer : Viewer
        Where results are.
    view_source : callable
        How the view would be enhanced now; raises `CwtnetError` where it cannot be.
    keep : callable
        Leaves a result's layer as it is; raises `CwtnetError` where nothing would change it.
    """

    def __init__(
        self, viewer: Any, view_source: Callable[[], Source], keep: Callable[[Any], None]
    ) -> None:
        super().__init__()
        self.view_button = QPushButton("Enhance view")
        self.roi_button = QPushButton("Enhance ROIs")
        self.whole_button = QPushButton("Whole slide…")
        self.check_button = QPushButton("Check here")
        self.live = QCheckBox("Live")
        self.live.setToolTip("Enhance the view whenever the camera rests")
        self.cancel_button = QPushButton("Cancel")
        self.form, self.check, self.quality = (
            ModelForm(with_target=True),
            CheckResult(),
            QualityTable(),
        )
        self.compare = CompareForm(viewer)
        self.result = ResultForm(viewer, lambda: self.compare.comparer.meant, view_source, keep)
        self.sentence, self.status = words_label(), words_label(_STATUS_LINES)
        self._bar = thin_bar(keep_place=True)
        self.zoom_button = QPushButton("Zoom in")
        self.zoom_button.setToolTip("Move closer, to where the result is finer than the slide")
        self.release_button = QPushButton("Release memory")
        self.release_button.setToolTip("Drop networks and finished tiles; result layers stay")
        layout = QVBoxLayout(self)
        buttons = QGridLayout()
        for number, widget in enumerate(
            (
                self.view_button,
                self.check_button,
                self.roi_button,
                self.whole_button,
                self.live,
                self.cancel_button,
            )
        ):
            buttons.addWidget(widget, number // 2, number % 2)
        layout.addLayout(buttons)
        layout.addWidget(self.form)
        layout.addLayout(self._sentence_place())
        self.mark = MarkForm(viewer, lambda: self.compare.comparer.meant)
        for part in (self._bar, self.status, self.mark.box, self.compare, self.result):
            layout.addWidget(part)
        layout.addWidget(self.release_button, alignment=Qt.AlignmentFlag.AlignRight)
        # Last, for these come and go, and the buttons are to stay in place.
        for part in (self.mark, self.quality, self.check):
            layout.addWidget(part)
        layout.addStretch(1)  # else the room that is left goes between the buttons
        self._marked = ""
        """What was said last of the mark."""
        self.mark.mark.changed.connect(self._show_mark)

    def _sentence_place(self) -> QGridLayout:
        """Room for the usual sentences and the button below them, so that nothing moves."""
        words = QVBoxLayout()
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        words.addWidget(self.sentence)
        words.addStretch()
        words.addWidget(self.zoom_button)
        place = QGridLayout()
        place.addWidget(words_label(_LINES), 0, 0)
        place.addLayout(words, 0, 0)
        return place

    def allow_view(self, possible: bool, words: str, *, idle: bool) -> None:
        """Let the view be enhanced or not; what would happen, or why nothing can.

        Where the slide is sharp enough as it is, Live may be on, and does nothing.
        """
        enable(self.view_button, possible, with_key("enhance_view", words))
        enable(self.live, possible or idle or self.live.isChecked(), self.live.toolTip())
        self.zoom_button.setVisible(idle)

    def show_zoom(self, mpp: float | None, factor: int | None) -> None:
        """Name the magnification that *Zoom in* goes to."""
        label = None if mpp is None or factor is None else magnification(mpp / factor)
        self.zoom_button.setText("Zoom in" if label is None else f"Zoom to {label}×")

    def allow_roi(self, possible: bool, words: str) -> None:
        """The same of the ROI."""
        enable(self.roi_button, possible, with_key("enhance_rois", words))

    def allow_whole(self, possible: bool, words: str) -> None:
        """Let the whole slide be written or not, or say why it cannot be."""
        tip = "Write the whole slide, or a large ROI, to a file, block by block"
        enable(self.whole_button, possible, tip if possible else words)

    def show_whole(self, work: WholeSlide) -> None:
        """Say how far the file of a whole slide is."""
        done, total = work.progress
        share = f" {done / total:.0%}" if work.busy and total else ""
        self.whole_button.setText(f"Whole slide{share or '…'}")

    def allow_check(self, possible: bool, words: str) -> None:
        """Let the view be checked or not; what a check would compare, or why there is none."""
        more = "\nHides the finest pixels of the view, computes them again and measures."
        enable(self.check_button, possible, f"{words}.{more}" if possible else words)

    def show_run(self, controller: Enhancer, checker: Checker) -> None:
        """Show where the run or the check is; called some ten times a second."""
        busy, run = controller.busy, controller.run
        checking = checker.busy
        self.allow_cancel(controller, checker)
        self._bar.setVisible(busy or checking)
        if checking:
            show_progress(self._bar, 0, 0)
            self.status.setText(checker.words)
            return
        if not busy:
            if controller.outcome is None and checker.found is None:
                self.status.clear()
            return
        self.status.setText(progress_words(run, cancelling=controller.cancelling))
        if run is not None and run.phase != "loading":
            show_progress(self._bar, run.done, run.total)
        if run is not None and run.phase != "measuring":
            self.quality.clear()

    def allow_cancel(self, controller: Enhancer, checker: Checker) -> None:
        """Let whatever is at work be cancelled."""
        marking, running = self.mark.busy, controller.busy and not controller.cancelling
        tip = "Nothing is running"
        if checker.busy or controller.busy or marking:
            tip = "Ends after the tile at work"
            tip += "; Live goes off" if controller.busy else "; no mark is shown" if marking else ""
        enable(self.cancel_button, checker.busy or running or marking, tip)

    def show_outcome(self, words: str) -> None:
        """Say what has happened; nothing where nothing of it is left."""
        if words:
            self.status.setText(words)
        self.compare.refresh()

    def show_check_ending(self, ending: Ending) -> None:
        """Say how a check has ended."""
        words = {"cancelled": "Check cancelled", "failed": ending.message}.get(ending.kind)
        self.status.setText(words or f"{gain_of(ending.value)}; figures below")

    def _show_mark(self) -> None:
        """Some words beside the box; all of them are below."""
        before, self._marked = self._marked, self.mark.mark.brief
        if self._marked or self.status.text() == before:
            self.status.setText(self._marked)

    def show_figures(self, viewer: Any) -> None:
        """How good the result is that is compared or shown, if that is known."""
        self.result.refresh()
        self.mark.refresh()
        measured = quality_of(viewer, self.compare.comparer.meant)
        if measured is None:
            self.quality.clear()
        else:
            self.quality.show_quality(*measured)


@dataclass(frozen=True, slots=True)
class _Preview:
    """What a button would do now."""

    jobs: list[tuple[Job, Plan]]
    """Empty where it can do nothing."""
    sentence: str
    """What would happen, or why nothing can."""
    idle: bool = False
    """Whether the slide is sharp enough as it is."""


class EnhanceDock(Dock):
    """Enhance what is on the screen or regions of interest, or check the model there.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    help_page = "how-to/enhance-a-view"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.controller = Enhancer(napari_viewer, self)
        self.checker = Checker(self)
        keep_badge(napari_viewer)
        prepare_badge(napari_viewer, self)
        self._last_view: Job | None = None
        self._checkable: Region | None = None
        """What a check would be about now."""
        self._stains = StainHints(self._rest.on_change)
        panel = self.panel = EnhancePanel(napari_viewer, self._view_source, self.controller.keep)
        self.view_button, self.roi_button = panel.view_button, panel.roi_button
        self.cancel_button, self.release_button = panel.cancel_button, panel.release_button
        self.live, self.form, self.quality = panel.live, panel.form, panel.quality
        self.compare, self.result = panel.compare, panel.result
        self.whole = WholeSlideForm(panel, napari_viewer)
        self._fill(panel)
        register_keys()
        self._connect()
        self.show_all()

    def enhance_view(self) -> None:
        """Enhance what the canvas shows."""
        self._start(_view_jobs)

    def enhance_rois(self) -> None:
        """Enhance the bounding box of every selected shape."""
        self._start(roi_jobs)

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

    def open_whole(self) -> None:
        """Show the form that writes the whole slide, or a large ROI, to a file."""
        layer = self._layer = source_layer_in(self._viewer, self._layer)
        try:
            self.whole.open_for(whole_jobs(self._viewer, layer, self.form.choice))
        except CwtnetError as error:
            show_error(str(error))

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
        self.live.setChecked(False)
        self.controller.leave()
        self.checker.cancel()
        self.whole.leave()
        self.panel.mark.stop()
        self.compare.stop()

    def show_all(self) -> None:
        """Say what would happen and what happens."""
        self._on_rest()
        self._show_run()
        self.compare.show_state()

    def _on_triggered(self) -> None:
        if self.live.isChecked():
            self._on_rest()  # Live goes on while the dock is out of sight
        else:
            super()._on_triggered()

    def _connect(self) -> None:
        self.view_button.clicked.connect(lambda _: self.enhance_view())
        self.roi_button.clicked.connect(lambda _: self.enhance_rois())
        self.panel.check_button.clicked.connect(lambda _: self.check_here())
        self.panel.whole_button.clicked.connect(lambda _: self.open_whole())
        self.whole.work.changed.connect(lambda: self.panel.show_whole(self.whole.work))
        self.cancel_button.clicked.connect(lambda _: self._cancel())
        self.release_button.clicked.connect(lambda _: ENGINES.release())
        self.panel.zoom_button.clicked.connect(lambda _: self._zoom_in())
        self.live.toggled.connect(lambda _: self._on_live())
        self.form.changed.connect(self._on_rest)
        self.controller.changed.connect(self._on_run)
        self.controller.ended.connect(
            lambda _: self.panel.show_outcome(self.controller.outcome_words)
        )
        self.checker.changed.connect(self._show_check)
        self.checker.changed.connect(self._on_run)
        self.checker.ended.connect(self.panel.show_check_ending)
        self.panel.mark.mark.runner.changed.connect(
            lambda: self.panel.allow_cancel(self.controller, self.checker)
        )
        self._rest.follow(self._viewer)
        follow_shown(self._viewer, self._show_figures)
        self.compare.comparer.changed.connect(self._on_compare)
        self._viewer.layers.events.removed.connect(self._on_removed)

    def _on_removed(self, event: Any) -> None:
        if isalive(self):  # napari's events outlive the dock
            self.controller.forget_layer(event.value)
            self.checker.forget_layer(event.value)

    def _on_rest(self) -> None:
        """Say what would happen now; do it where Live is on."""
        layer = self._layer = source_layer_in(self._viewer, self._layer)
        self.form.set_slide(slide_of(layer))
        view, rois = self._preview(_view_jobs, layer), self._preview(roi_jobs, layer)
        job, plan = view.jobs[0] if view.jobs else (None, None)
        words = [view.sentence]
        if rois.jobs:
            plans = [roi for _, roi in rois.jobs]
            words.append(of_the_rois(plans, shapes_left_out(self._viewer)))
        words.append(self._stains.hint_of(slide_of(layer), self.form.choice.model))
        self.panel.sentence.setText("\n".join(filter(None, words)))
        self.panel.allow_view(plan is not None, view.sentence, idle=view.idle)
        if view.idle:
            slide = slide_of(layer)
            self.panel.show_zoom(None if slide is None else slide.mpp, self._factor)
        self.panel.allow_roi(bool(rois.jobs), rois.sentence)
        self._checkable = None
        try:
            could, what = check_job(self._viewer, layer, self.form.choice)
        except CwtnetError as error:
            self.panel.allow_check(False, str(error))
        else:
            self.panel.allow_check(True, what)
            self._checkable = could.request.region
        try:
            whole_jobs(self._viewer, layer, self.form.choice)
        except CwtnetError as error:
            self.panel.allow_whole(self.whole.work.busy, str(error))
        else:
            self.panel.allow_whole(True, "")
        self._show_check()
        if (
            self.live.isChecked()
            and job is not None
            and plan is not None
            and job != self._last_view
        ):
            self._last_view = job
            self._begin([(job, plan)], layer)

    @property
    def _factor(self) -> int | None:
        """How much finer than the slide the target is."""
        target = self.form.target
        factor: int | None = None if target is None else target.currentData()
        return factor

    def _zoom_in(self) -> None:
        if self._layer is not None:
            zoom_to(self._viewer, self._layer, 1 / (self._factor or 2))

    def _on_live(self) -> None:
        """Begin at once, even with a view that was enhanced, cancelled or deleted before."""
        self._last_view = None
        self._on_rest()

    def _preview(self, make: Any, layer: Any) -> _Preview:
        try:
            jobs = make(self._viewer, layer, self.form.choice)
        except CwtnetError as error:
            return _Preview([], str(error), idle=isinstance(error, NothingToGainError))
        return _Preview(jobs, what_will_happen(jobs[0][1]))

    def _view_source(self) -> Source:
        layer = source_layer_in(self._viewer, self._layer)
        return Source(*view_job(self._viewer, layer, self.form.choice), layer)

    def _start(self, make: Any) -> None:
        layer = self._layer = source_layer_in(self._viewer, self._layer)
        try:
            jobs = make(self._viewer, layer, self.form.choice)
        except CwtnetError as error:
            show_error(str(error))
            self._on_rest()
            return
        if make is _view_jobs:
            self._last_view = jobs[0][0]
        self._begin(jobs, layer)

    def _begin(self, jobs: list[tuple[Job, Plan]], layer: Any) -> None:
        self.checker.cancel()
        self.controller.start(jobs, layer)

    def _cancel(self) -> None:
        self.live.setChecked(False)
        self.controller.cancel()
        self.checker.cancel()
        if self.panel.mark.busy:
            self.panel.mark.stop()

    def _show_check(self) -> None:
        """Of the slide that the dock is about."""
        found = self.checker.found
        if found is None or found.slide_layer != self._layer:
            self.panel.check.show_check(None)
            return
        view, checked = self._checkable, found.job.request.region
        here = view is not None and view.intersection(checked) is not None
        self.panel.check.show_check(found, here=here)

    def _on_run(self) -> None:
        if self.in_sight or not self.controller.busy:
            self._show_run()
        else:
            self._behind = True
        self.panel.mark.refresh()

    def _show_run(self) -> None:
        self.panel.show_run(self.controller, self.checker)
        self._show_figures()

    def _on_compare(self) -> None:
        self.panel.mark.mark.set_aside(self.compare.comparer.mode is not None)
        if self.in_sight and self.controller.busy:
            self.compare.show_state()
        self._show_figures()

    def _show_figures(self, *_: Any) -> None:
        """Of the result that is shown, which need not be the last one."""
        if not isalive(self):  # napari's events outlive the dock
            return
        if not self.in_sight:
            self._behind = True
        elif not self.controller.busy:
            self.panel.show_figures(self._viewer)
            self.compare.show_state()


def _view_jobs(viewer: Any, layer: Any, choice: Choice) -> list[tuple[Job, Plan]]:
    """The view is a batch of one, on the tiles of the view before it."""
    job, plan = view_job(viewer, layer, choice)
    return [(job, ENGINES.grids.preview(job.slide, plan))]
