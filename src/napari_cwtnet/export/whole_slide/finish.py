"""What comes after the last block: coarser levels, the file format, the final name."""

from __future__ import annotations

from collections.abc import Callable

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.export.ome_tiff import write_levels
from napari_cwtnet.export.progress import Count
from napari_cwtnet.export.whole_slide.opening import Run
from napari_cwtnet.export.whole_slide.reduce import LevelView, reduce_level
from napari_cwtnet.files import written_whole


def write_rest(
    run: Run, cancel: CancelToken, told: Callable[[str, int, int], None], *, tiff: bool
) -> None:
    """Make the pyramid and, if one is wanted, the OME-TIFF; then give it its final name.

    Raises
    ------
    CancelledError
        After ``cancel`` was called; what is done is kept.
    OSError
        If it cannot be written.
    """
    if run.store is None:
        return
    levels = len(run.store.sizes)
    for level in range(1, levels):
        if level not in run.journal.levels:
            reduce_level(run.store, level, cancel)
            run.journal.level_done(level)
        told("level", level, levels - 1)
    if not tiff:
        run.work.put_in_place(run.work.image)
        return

    def part_written(done: int, total: int) -> None:
        cancel.raise_if_cancelled()
        told("part", done, total)

    provenance = run.journal.head.provenance
    views = [LevelView(run.store, level) for level in range(levels)]
    with written_whole(run.work.tiff) as partial:
        write_levels(partial, views, provenance, provenance["output_mpp"], Count(part_written))
    run.work.put_in_place(run.work.tiff)
