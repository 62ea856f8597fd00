"""Writing the shown result, or those of ROIs, to files beside the window's thread."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info

from napari_cwtnet.errors import OutputError, RequestError
from napari_cwtnet.export import check_badge, check_mark, check_output, export_image, save_mark
from napari_cwtnet.export.dicom import check_dicom
from napari_cwtnet.export.mark import marked_path
from napari_cwtnet.files import written_whole
from napari_cwtnet.plugin.tasks.runner import Run, Task, TaskRunner
from napari_cwtnet.plugin.tasks.whole_slide import DICOM, file_name
from napari_cwtnet.plugin.viewer.canvas import ask_before_closing
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.selection import MARK_KEY, Source, made_here, source_of

_OF_THE_RUN = ("quality", "tiles", "tiles_done")
"""What the layer's metadata hold besides the provenance."""


ROIS_RECORD = "rois.json"
"""In a folder of results: the name, file, mask and region of each ROI."""


@dataclass(frozen=True, slots=True)
class _Image:
    path: Path
    pixels: Any
    known: dict[str, Any]
    squares: Any = None
    """Those that are marked as not to be relied on, if any was looked for."""
    badge: bool = False
    roi: str = ""

    @property
    def marked(self) -> tuple[Path, ...]:
        """Where the mask goes, if there is one."""
        return () if self.squares is None else (marked_path(self.path),)


class _ExportRun(Run):
    name, kind = "export", "Export"
    no_memory = "There is too little memory to write it; close other programs."

    def __init__(self, images: Sequence[_Image], record: Path | None = None) -> None:
        super().__init__()
        self._images, self._record = images, record
        self._number = 0

    def work(self) -> None:
        for number, image in enumerate(self._images):
            self._number = number
            pixels, mpp = np.ascontiguousarray(image.pixels[..., :3]), image.known["output_mpp"]
            provenance = provenance_of(image.known)
            export_image(
                image.path,
                pixels,
                provenance,
                mpp,
                badge_on_pixels=image.badge,
                figures=image.known.get("quality"),
                progress=self._note,
            )
            if image.squares is not None:
                save_mark(image.path, image.squares, pixels, provenance, mpp)
        if self._record is not None:
            rois = [
                {
                    "name": image.roi,
                    "file": image.path.name,
                    "mask": next((mask.name for mask in image.marked), None),
                    "region": image.known["region"],
                }
                for image in self._images
            ]
            with written_whole(self._record) as partial:
                text = json.dumps({"computed": True, "rois": rois}, indent=2, ensure_ascii=False)
                partial.write_text(f"{text}\n", encoding="utf-8")

    def _note(self, done: int, total: int) -> None:
        self._token.raise_if_cancelled()
        self._step(self._number * total + done, len(self._images) * total)


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
        if path.name.lower().endswith(DICOM):
            check_dicom(known["output_mpp"])
        check_badge(path, badge_on_pixels)
        image = _Image(path, layer.data, known, layer.metadata.get(MARK_KEY), badge_on_pixels)
        masks = [mask.name for mask in image.marked]
        if masks:
            check_mark(path, source.job.slide.path)
        more = "".join(f", {name} (what not to rely on)" for name in masks)
        said = f"Written: {path.name}{more}, and its record {path.name}.json"
        self._write([image], path, said)

    def start_rois(self, layers: Sequence[Any], folder: Path) -> None:
        """Write results of ROIs as OME-TIFF, named after them, and a record that lists them.

        Raises
        ------
        RequestError
            If one is no complete result.
        OutputError
            If the folder is missing or not empty.
        """
        if not folder.is_dir() or any(folder.iterdir()):
            raise OutputError(f"Folder {folder} is missing or not empty; choose an empty one.")
        images: dict[str, _Image] = {}
        for layer in layers:
            source, known = exportable(layer)
            roi = source.job.roi
            stem = name = re.sub(r"[^\w ().-]+", "_", roi).strip(" .")[:80] or "ROI"
            number = 1
            while name.lower() in images:  # some systems do not tell upper case from lower
                number += 1
                name = f"{stem} ({number})"
            path = folder / f"{name}.ome.tif"
            images[name.lower()] = _Image(
                path, layer.data, known, layer.metadata.get(MARK_KEY), roi=roi
            )
        masks = sum(len(image.marked) for image in images.values())
        count = "1 mask" if masks == 1 else f"{masks} masks"
        more = f" and {count} of what not to rely on" if masks else ""
        said = f"Written: {len(images)} results{more}, listed in {ROIS_RECORD}"
        self._write(list(images.values()), folder / ROIS_RECORD, said, folder / ROIS_RECORD)

    def _write(
        self, images: Sequence[_Image], path: Path, said: str, record: Path | None = None
    ) -> None:
        if self.busy:
            raise RequestError("An export is being written; wait until it is done.")
        run = _ExportRun(images, record)
        asking = ask_before_closing(f"writing {path.name}", run.cancel)

        def end(*_: Any) -> None:
            asking()
            if run.outcome.kind == "done":
                show_info(said)

        self.submit(Task("Writing…", lambda: run, end=end))


def roi_results(viewer: Any) -> list[Any]:
    """The complete results of ROIs made like the topmost one: same slide, model and settings.

    Raises
    ------
    RequestError
        If there are none.
    """
    found = [layer for layer in viewer.layers if _is_whole_roi(layer)]
    if not found:
        raise RequestError("There is no result of an ROI; enhance some ROIs first.")
    return [layer for layer in found if _made(layer) == _made(found[-1])]


def _is_whole_roi(layer: Any) -> bool:
    source = source_of(layer)
    known = layer.metadata.get(RESULT_KEY, {})
    whole = known.get("tiles") is not None and known.get("tiles") == known.get("tiles_done")
    return source is not None and bool(source.job.roi) and whole


def _made(layer: Any) -> tuple[Any, ...]:
    source = made_here(layer)
    request = source.job.request
    how = (request.downsample, request.reference, request.sharpness)
    return (source.slide_layer, source.job.model, *how)


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
        parts = (
            "it is still being computed" if done is None else f"{done} of {total} tiles are there"
        )
        raise RequestError(f"The result is not complete ({parts}); enhance it to the end first.")
    return source, known


def provenance_of(known: dict[str, Any]) -> dict[str, Any]:
    """What of a layer's metadata says where its pixels come from."""
    return {key: value for key, value in known.items() if key not in _OF_THE_RUN}


def suggested_name(source: Source) -> str:
    """A name for a result's file: of its slide, place or ROI, magnification and model."""
    return file_name(source.job, source.plan, view=True)
