"""Writing the shown result to a file, beside the window's thread."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cwtnet.errors import CancelledError, RequestError
from napari_cwtnet.export import check_badge, check_output, export_image
from napari_cwtnet.plugin.tasks.device import TURNS
from napari_cwtnet.plugin.tasks.runner import in_background
from napari_cwtnet.plugin.viewer.badge import RESULT_KEY
from napari_cwtnet.plugin.viewer.selection import Source, made_here

_LOOK_MS = 100
_OF_THE_RUN = ("quality", "tiles", "tiles_done")
"""What the layer's metadata hold besides the provenance."""


class Exporter(QObject):
    """Writes one result at a time; lives on the GUI thread.

    Attributes
    ----------
    changed : Signal
        There is something new in `busy` or `progress`.
    finished : Signal(str, bool)
        What has happened, in words, and whether it is well.
    """

    changed = Signal()
    finished = Signal(str, bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.busy = False
        self.progress = (0, 1)
        """Parts written, and parts in all."""
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self.changed.emit)

    def start(self, layer: Any, path: Path, *, badge_on_pixels: bool = False) -> None:
        """Write a result layer.

        Raises
        ------
        RequestError
            If there is no complete result.
        OutputError
            If it cannot be written there.
        """
        source, known = exportable(layer)
        check_output(path, source.job.slide.path)
        check_badge(path, badge_on_pixels)
        if self.busy:
            raise RequestError("An export is being written; wait until it is done.")
        provenance = {key: value for key, value in known.items() if key not in _OF_THE_RUN}
        pixels, me = layer.data, weakref.ref(self)
        self.busy, self.progress = True, (0, 1)

        def note(done: int, total: int) -> None:
            exporter = me()
            if exporter is None or not isalive(exporter):
                raise CancelledError("the window was closed")
            exporter.progress = (done, total)

        def work() -> None:
            with TURNS.first():
                export_image(
                    path,
                    np.ascontiguousarray(pixels[..., :3]),
                    provenance,
                    known["output_mpp"],
                    badge_on_pixels=badge_on_pixels,
                    figures=known.get("quality"),
                    progress=note,
                )

        self._timer.start()
        self.changed.emit()

        def end(words: str, well: bool) -> None:
            exporter = me()
            if exporter is not None and isalive(exporter):
                exporter._end(words, well)

        in_background(
            work,
            lambda _: end(f"Written: {path.name}, and its record {path.name}.json", True),
            lambda message: end(message, False),
        )

    def _end(self, words: str, well: bool) -> None:
        self.busy = False
        self._timer.stop()
        self.changed.emit()
        self.finished.emit(words, well)


def exportable(layer: Any) -> tuple[Source, dict[str, Any]]:
    """How a layer was made, and what is known of it.

    Raises
    ------
    RequestError
        If it is no result of this session, or not complete.
    """
    source = made_here(layer)
    known = dict(layer.metadata[RESULT_KEY])
    done, total = known.get("tiles_done"), known.get("tiles")
    if done is None or done != total:
        parts = "it is at work" if done is None else f"{done} of {total} tiles are there"
        raise RequestError(f"The result is not complete ({parts}); enhance it to the end first.")
    return source, known


def suggested_name(known: dict[str, Any]) -> str:
    """A name that tells nothing of the slide but the beginning of its fingerprint."""
    scale = round(known["input_downsample"] / known["output_downsample"])
    return f"computed-x{scale}-{known['slide_fingerprint'][:8]}.ome.tif"
