"""Writing the shown result to a file, beside the window's thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info

from napari_cwtnet.errors import RequestError
from napari_cwtnet.export import check_badge, check_output, export_image
from napari_cwtnet.plugin.tasks.runner import Run, Task, TaskRunner
from napari_cwtnet.plugin.viewer.badge import RESULT_KEY
from napari_cwtnet.plugin.viewer.canvas import ask_before_closing
from napari_cwtnet.plugin.viewer.selection import Source, made_here

_OF_THE_RUN = ("quality", "tiles", "tiles_done")
"""What the layer's metadata hold besides the provenance."""


class _ExportRun(Run):
    name, kind = "export", "Export"
    no_memory = "There is too little memory to write it; close other programs."

    def __init__(self, path: Path, pixels: Any, known: dict[str, Any], badge: bool) -> None:
        super().__init__()
        self._path, self._pixels, self._known, self._badge = path, pixels, known, badge

    def work(self) -> None:
        known = self._known
        export_image(
            self._path,
            np.ascontiguousarray(self._pixels[..., :3]),
            provenance_of(known),
            known["output_mpp"],
            badge_on_pixels=self._badge,
            figures=known.get("quality"),
            progress=self._note,
        )

    def _note(self, done: int, total: int) -> None:
        self._token.raise_if_cancelled()
        self._step(done, total)


class Exporter(TaskRunner):
    """Writes one result at a time."""

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
        run = _ExportRun(path, layer.data, known, badge_on_pixels)
        asking = ask_before_closing(f"writing {path.name}", run.cancel)

        def end(*_: Any) -> None:
            asking()
            if run.outcome.kind == "done":
                show_info(f"Written: {path.name}, and its record {path.name}.json")

        self.submit(Task("Writing…", lambda: run, end=end))


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


def provenance_of(known: dict[str, Any]) -> dict[str, Any]:
    """What of a layer's metadata says where its pixels come from."""
    return {key: value for key, value in known.items() if key not in _OF_THE_RUN}


def suggested_name(known: dict[str, Any]) -> str:
    """A name that tells nothing of the slide but the beginning of its fingerprint."""
    scale = round(known["input_downsample"] / known["output_downsample"])
    return f"computed-x{scale}-{known['slide_fingerprint'][:8]}.ome.tif"
