"""The layer that a result grows in, over its slide; transparent where nothing is computed yet."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

from napari.layers import Image, Shapes
from qtpy.QtCore import QObject

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import describe_resolution
from napari_cwtnet.plugin.tasks.enhance import EnhanceRun, Job, Outcome, Part, Picture
from napari_cwtnet.plugin.tasks.runner import Task, TaskRunner
from napari_cwtnet.plugin.viewer.badge import keep_badge, update_badge
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY, is_computed
from napari_cwtnet.plugin.viewer.in_place import is_put_away, look_at_result, show_edge
from napari_cwtnet.plugin.viewer.selection import (
    ERROR_KEY,
    MARK_KEY,
    SOURCE_KEY,
    Source,
    holds,
)
from napari_cwtnet.plugin.viewer.slide_layer import slide_name, slide_of
from napari_cwtnet.plugin.viewer.viewport import follow_transform, lay_over

KEPT = " · kept"


def result_name(slide_name: str, plan: Plan, roi: str = "") -> str:
    """Name of a result's layer, such as ``"COMPUTED ×4 0.125 µm/px · CMU-1 · lite-x4"``.

    The warning comes first and the model last: napari's layer list leaves out the middle of long
    names, and results of one slide differ at both ends; cross-scale mode is named there, too, and
    the ROI last.
    """
    if plan.output_mpp is None:
        pixel = describe_resolution(None, plan.output_downsample)
    else:
        pixel = f"{plan.output_mpp:.3g} µm/px"
    word = "ORACLE" if plan.mode == "oracle" else "COMPUTED"
    given = " cross-scale" if plan.mode == "cross-scale" else ""
    place = f" · {roi}" if roi else ""
    return f"{word} ×{plan.scale} {pixel} · {slide_name} · {plan.model_name}{given}{place}"


class ResultLayer:
    """What a run has computed, as a layer.

    A later run of the same kind takes the same layer over, so that looking around does not pile up
    layers; a layer that the user deleted is left deleted for the rest of its run, and one that is
    kept is no longer taken over.

    Parameters
    ----------
    viewer : Viewer
        Where the layer goes.
    slide_layer : Image
        What it lies over.
    """

    def __init__(self, viewer: Any, slide_layer: Any) -> None:
        self._viewer = viewer
        self.slide_layer = slide_layer
        self._part: Part | None = None
        self._done = 0
        self._plan: Plan | None = None
        self._slide_name = self._roi = ""
        self.layer: Image | None = None
        follow_transform(slide_layer, self._register)

    @property
    def shown(self) -> Image | None:
        """The layer, if it is in the viewer."""
        return self.layer if holds(self._viewer, self.layer) else None

    @property
    def gone(self) -> bool:
        """Whether the user has deleted the layer, or the slide that it lies over."""
        return (self.layer is not None and self.shown is None) or not holds(
            self._viewer, self.slide_layer
        )

    def show(self, part: Part) -> None:
        """Bring the layer up to what is computed of ``part`` by now."""
        if part.picture is None or part.done == 0:
            return
        # Every refresh redraws the whole canvas, so there is none without a new tile.
        done, self._done = self._done, part.done
        if part is not self._part:
            self._part = part
            self._begin(part.picture, part.job)
        elif part.done != done and self.shown is not None:
            self.shown.refresh(extent=False, thumbnail=False, highlight=False)

    def has(self, part: Part) -> bool:
        """Whether the layer shows what is computed of ``part``."""
        return part is self._part

    def mark_kept(self) -> None:
        """Say in the layer's name that no run replaces it."""
        if self.layer is not None:
            self.layer.name = f"{self.layer.name}{KEPT}"

    def end(self, part: Part) -> None:
        """Note how much of ``part`` is there, where not all in the layer's name, and how good."""
        layer, total = self.shown, len(part.plan.tiles)
        if part is not self._part:
            return
        self._part = None  # its sums take four times the memory of its pixels
        if layer is None:
            return
        quality = None if part.quality is None else part.quality.as_dict()
        _note(
            layer,
            tiles=total,
            tiles_done=part.done,
            quality=quality,
            **part.tile_counts.as_dict(),
        )
        if part.ended and part.picture is not None:
            layer.metadata = {**layer.metadata, ERROR_KEY: part.picture.canvas.error}
        if part.done < total:
            layer.name = f"{layer.name} · {part.done} of {total} tiles"
        layer.refresh(extent=False, highlight=False)

    def _begin(self, picture: Picture, job: Job) -> None:
        self._plan, self._slide_name, self._roi = picture.plan, slide_name(job.slide), job.roi
        name = result_name(self._slide_name, picture.plan, job.roi)
        layer, pixels = self.shown, picture.canvas.rgba
        if layer is not None:
            layer.data, layer.name = pixels, name
            layer.visible = True  # it was asked for
        else:
            keep_badge(self._viewer)
            layer = self.layer = Image(pixels, rgb=True, name=name)
            show_edge(layer)
        layer.metadata = {
            **layer.metadata,
            RESULT_KEY: dict(picture.provenance),
            SOURCE_KEY: Source(job, picture.plan, self.slide_layer),
            ERROR_KEY: None,
            MARK_KEY: None,
        }
        self._register()
        if self.shown is None:
            self._insert(layer)
        look_at_result(self._viewer, layer, afresh=True)
        update_badge(self._viewer)

    def _register(self, *_: Any) -> None:
        """Lay the layer over the slide; again when the slide is placed otherwise."""
        if self.layer is not None and self._plan is not None:
            plan = self._plan
            lay_over(self.layer, self.slide_layer, plan.region, plan.output_downsample)
            self._restate(self.layer, plan)

    def _restate(self, layer: Image, plan: Plan) -> None:
        """Name, badge and provenance in the pixel size that the slide has now."""
        slide = slide_of(self.slide_layer)
        if slide is None:
            return
        now = replace(plan, native_mpp=slide.mpp, pixel_aspect=slide.pixel_aspect)
        if now == plan:
            return
        self._plan = now
        _note(
            layer,
            badge=now.badge,
            native_mpp=now.native_mpp,
            output_mpp=now.output_mpp,
            pixel_aspect=now.pixel_aspect,
        )
        old = result_name(self._slide_name, plan, self._roi)
        if layer.name.startswith(old):  # not renamed by the user
            layer.name = f"{result_name(self._slide_name, now, self._roi)}{layer.name[len(old) :]}"
        update_badge(self._viewer)

    def _insert(self, layer: Image) -> None:
        """Above the slide and other results, below shapes and the like."""
        layers = self._viewer.layers
        pictures = [i for i, one in enumerate(layers) if is_computed(one) or slide_of(one)]
        drawing = layers.selection.active if isinstance(layers.selection.active, Shapes) else None
        layers.insert(max(pictures, default=len(layers) - 1) + 1, layer)
        if drawing is not None:
            layers.selection.active = drawing


def _note(layer: Image, **values: Any) -> None:
    """Add to what is known of a layer; not in place, for a duplicate shares what is there."""
    layer.metadata = {**layer.metadata, RESULT_KEY: {**layer.metadata[RESULT_KEY], **values}}


REFRESH_MS = 100


class Enhancer(TaskRunner):
    """Runs one enhancement at a time and grows its layers, at most ten times a second.

    Attributes
    ----------
    outcome : Outcome or None
        Of the newest run that has ended, as long as its slide and a layer of it are shown.
    """

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent, REFRESH_MS)
        self._viewer = viewer
        self._results: dict[Hashable, ResultLayer] = {}
        self._kept: list[ResultLayer] = []
        self._growing: list[ResultLayer] = []
        """Of the parts of the run at work."""
        self.outcome: Outcome | None = None
        self._about: list[ResultLayer] = []
        """What `outcome` is about."""
        self._leaving = False

    @property
    def outcome_words(self) -> str:
        """How the newest run ended, and where its layer is, if it cannot be seen."""
        if self.outcome is None:
            return ""
        hidden = any(one.layer is not None and is_put_away(one.layer) for one in self._about)
        more = "\nHidden at this zoom, where the slide is finer; zoom out to see it."
        return f"{self.outcome.sentence}{more if hidden else ''}"

    def start(self, jobs: Sequence[tuple[Job, Plan]], slide_layer: Any) -> int:
        """Begin jobs, in place of any others; returns their generation.

        Each of several goes into a layer of its own.
        """

        def begin() -> EnhanceRun:
            for job, _ in jobs:
                self._growing.append(self._layer_for(job, slide_layer))
            return EnhanceRun(jobs)

        self._leaving = False
        return self.submit(Task("", begin, show=self._show, end=self._end_run))

    def leave(self) -> None:
        """Cancel because the dock goes: make no further layer, for the window may go, too."""
        self._leaving = True
        self.cancel()

    def keep(self, layer: Any) -> None:
        """Leave a result's layer as it is: the next run makes one of its own.

        A run that is at work in the layer goes on in it.

        Raises
        ------
        RequestError
            If no run would replace that layer.
        """
        if layer is None:
            raise RequestError("There is no result to keep; enhance the view or an ROI first.")
        key = next((k for k, result in self._results.items() if result.shown == layer), None)
        if key is None:
            raise RequestError(f"Layer {layer.name!r} is kept already: no run replaces it.")
        result = self._results.pop(key)
        self._kept.append(result)  # it has to live on, for it follows the pixel size of its slide
        if isinstance(self._run, EnhanceRun):
            for index, (part, growing) in enumerate(
                zip(self._run.parts, self._growing, strict=True)
            ):
                if growing is result and not part.ended and not result.has(part):
                    self._growing[index] = self._layer_for(part.job, result.slide_layer)
        result.mark_kept()

    def forget_layer(self, layer: Any) -> None:
        """Let go of a layer that has gone, and of the outcome that was about it."""
        self._kept = [one for one in self._kept if one.layer != layer]
        # Those at work may show a layer of their own yet, which later runs then take over.
        self._results = {
            key: one
            for key, one in self._results.items()
            if one in self._growing or one.layer != layer
        }
        about = [one for one in self._about if layer not in (one.layer, one.slide_layer)]
        if self._about and not about:
            self.outcome = None
            self.changed.emit()
        self._about = about

    def _layer_for(self, job: Job, slide_layer: Any) -> ResultLayer:
        """Views of one model share a layer, and so do runs over one ROI."""
        place = job.request.region if job.roi else None
        key = (slide_layer, job.model, job.request.reference, job.roi, place)
        self._results = {
            k: one
            for k, one in self._results.items()
            if one.shown is not None or one in self._growing
        }
        return self._results.setdefault(key, ResultLayer(self._viewer, slide_layer))

    def _show(self, run: EnhanceRun) -> None:
        for part, result in zip(run.parts, self._growing, strict=True):
            if self._leaving or not self.alive:  # napari answers events while it adds a layer
                return
            ended = part.ended  # before the look, so that the last tiles are seen
            result.show(part)
            if ended:
                result.end(part)
                part.picture = None

    def _end_run(self, run: EnhanceRun, newest: bool) -> None:
        growing, self._growing = self._growing, []
        for part, result in zip(run.parts, growing, strict=True):
            if newest and not self._leaving:
                result.show(part)
            result.end(part)
        if newest:
            failed = run.outcome.kind == "failed"
            self._about = [one for one in growing if failed or not one.gone]
            self.outcome = run.outcome if self._about else None
