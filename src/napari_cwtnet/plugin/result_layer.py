"""The layer that a result grows in, over its slide; transparent where nothing is computed yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari.layers import Image, Shapes

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.geometry import describe_resolution
from napari_cwtnet.plugin.badge import RESULT_KEY, is_computed, keep_badge, update_badge
from napari_cwtnet.plugin.enhance_run import Job, Picture, Run
from napari_cwtnet.plugin.results import SOURCE_KEY, Source, holds
from napari_cwtnet.plugin.slide_layer import slide_of
from napari_cwtnet.plugin.viewport import result_transform

KEPT = " · kept"


def result_name(slide_name: str, plan: Plan) -> str:
    """Name of a result's layer, such as ``"COMPUTED ×4 0.125 µm/px · CMU-1 · lite-x4"``.

    The warning comes first and the model last: napari's layer list leaves out the middle of long
    names, and results of one slide differ at both ends, where cross-scale mode is told, too.
    """
    if plan.output_mpp is None:
        pixel = describe_resolution(None, plan.output_downsample)
    else:
        pixel = f"{plan.output_mpp:.3g} µm/px"
    word = "ORACLE" if plan.mode == "oracle" else "COMPUTED"
    given = " cross-scale" if plan.mode == "cross-scale" else ""
    return f"{word} ×{plan.scale} {pixel} · {slide_name} · {plan.model_name}{given}"


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
        self._run: Run | None = None
        self._done = 0
        self._plan: Plan | None = None
        self._slide_name = ""
        self.layer: Image | None = None
        slide_layer.events.scale.connect(self._register)

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

    def show(self, run: Run) -> None:
        """Bring the layer up to what ``run`` has computed by now."""
        if run.picture is None or run.done == 0:
            return
        # Every refresh draws the whole canvas anew, so there is none without a new tile.
        done, self._done = self._done, run.done
        if run is not self._run:
            self._run = run
            self._begin(run.picture, run.job)
        elif run.done != done and self.shown is not None:
            self.shown.refresh(extent=False, thumbnail=False, highlight=False)

    def has(self, run: Run | None) -> bool:
        """Whether the layer shows what ``run`` computes."""
        return run is not None and run is self._run

    def mark_kept(self) -> None:
        """Say in the layer's name that no run replaces it."""
        if self.layer is not None:
            self.layer.name = f"{self.layer.name}{KEPT}"

    def end(self, run: Run) -> None:
        """Note how much of ``run`` is there, in the layer's name where not all is, and how good."""
        layer, outcome = self.shown, run.outcome
        if run is not self._run:
            return
        self._run = None  # its sums take four times the memory of its pixels
        if outcome is None or layer is None:
            return
        quality = None if outcome.quality is None else outcome.quality.as_dict()
        _note(
            layer,
            tiles=outcome.total,
            tiles_done=outcome.done,
            quality=quality,
            **outcome.tally.as_dict(),
        )
        if outcome.done < outcome.total:
            layer.name = f"{layer.name} · {outcome.done} of {outcome.total} tiles"
        layer.refresh(extent=False, highlight=False)

    def _begin(self, picture: Picture, job: Job) -> None:
        self._plan, self._slide_name = picture.plan, job.slide.path.stem
        name = result_name(self._slide_name, picture.plan)
        layer, pixels = self.shown, picture.canvas.rgba
        if layer is not None:
            layer.data, layer.name = pixels, name
            layer.visible = True  # it was asked for
        else:
            keep_badge(self._viewer)
            layer = self.layer = Image(pixels, rgb=True, name=name)
        layer.metadata = {
            **layer.metadata,
            RESULT_KEY: dict(picture.provenance),
            SOURCE_KEY: Source(job, picture.plan, self.slide_layer),
        }
        self._register()
        if self.shown is None:
            self._insert(layer)
        update_badge(self._viewer)

    def _register(self, *_: Any) -> None:
        """Lay the layer over the slide; again when the slide's pixel size is set anew."""
        if self.layer is not None and self._plan is not None:
            plan, under = self._plan, self.slide_layer
            place = result_transform(under, plan.region, plan.output_downsample)
            if self.layer.units != under.units:
                self.layer.units = under.units
            self.layer.scale, self.layer.translate = place
            self._restate(self.layer, plan)

    def _restate(self, layer: Image, plan: Plan) -> None:
        """Name, badge and provenance in the pixel size that the slide has now."""
        slide = slide_of(self.slide_layer)
        if slide is None or slide.mpp == plan.native_mpp:
            return
        now = self._plan = replace(plan, native_mpp=slide.mpp)
        _note(layer, badge=now.badge, native_mpp=now.native_mpp, output_mpp=now.output_mpp)
        old = result_name(self._slide_name, plan)
        if layer.name.startswith(old):  # not renamed by the user
            layer.name = f"{result_name(self._slide_name, now)}{layer.name[len(old) :]}"
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
