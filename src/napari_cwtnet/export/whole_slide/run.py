"""A whole slide into a file: block by block, with a journal, to be taken up again."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError, OutputError
from napari_cwtnet.export.image import check_output
from napari_cwtnet.export.sidecar import write_sidecar
from napari_cwtnet.export.whole_slide.cluster import Cluster
from napari_cwtnet.export.whole_slide.finish import write_rest
from napari_cwtnet.export.whole_slide.job import Bench, Job
from napari_cwtnet.export.whole_slide.layout import BLOCK, CLUSTER_BLOCK
from napari_cwtnet.export.whole_slide.making import Told, make_blocks
from napari_cwtnet.export.whole_slide.opening import begin, finished_before, take_up
from napari_cwtnet.export.whole_slide.result import WholeResult, finished_already, result_of
from napari_cwtnet.export.whole_slide.space import check_space
from napari_cwtnet.export.whole_slide.work_folder import WorkFolder
from napari_cwtnet.files import cannot_write


def enhance_to_file(
    job: Job,
    output: Path,
    *,
    resume: bool = False,
    scheduler: str | None = None,
    block: int | None = None,
    space_check: bool = True,
    cancel: CancelToken | None = None,
    told: Told = lambda *_: None,
) -> WholeResult:
    """Enhance a slide of any size into ``.ome.zarr`` or ``.ome.tif``, within bounded memory.

    Parameters
    ----------
    job : Job
        What.
    output : Path
        Appears when all of it is there; until then the work is in ``.OUT.partial`` beside it.
    resume : bool
        Go on with a run that was killed or cancelled; begin where there is none. An output that is
        there and would be made again just so is left as it is; one of another kind is refused.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do it.
    block : int, optional
        Side of the blocks that are computed at a time, SR pixels, a multiple of 1024.
    space_check : bool
        Refuse at once what the disk will likely not hold.
    cancel : CancelToken, optional
        Stops the work within one tile; blocks that are done are kept.
    told : callable, optional
        Hears how far the work is.

    Raises
    ------
    CwtnetError
        If the request cannot be served or the output not be written.
    CancelledError
        After ``cancel``; it says how much is done.
    """
    began = time.perf_counter()
    _check(output, job.slide)
    tiff = not output.name.lower().endswith(".zarr")
    side = block or (BLOCK if scheduler is None else CLUSTER_BLOCK)
    work, cancel = WorkFolder(output), cancel or CancelToken()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_said_in_words(work))
        if work.unfinished and not resume:
            work.take()  # says so where it is not unfinished but at work
            work.give_back()
            raise OutputError(
                f"Output {output} has an unfinished run in {work.path.name}; go on with it by "
                "--resume, or delete that folder."
            )
        cluster = None if scheduler is None else stack.enter_context(Cluster(scheduler))
        # Workers may have devices that this machine has not.
        own = job if cluster is None else dataclasses.replace(job, device="cpu")
        bench = stack.enter_context(Bench(own))
        size = bench.plan.output_size
        check_disk = partial(check_space, work.path, size, tiff=tiff) if space_check else _no_check
        provenance = bench.provenance if cluster is None else cluster.describe(job)
        if resume and not work.unfinished:
            before = finished_before(output, provenance)
            if before is not None:
                return finished_already(bench.plan, side, before)
        work.take()
        stack.callback(work.give_back)
        if work.unfinished:
            run = take_up(work, bench.plan, provenance, check_disk)
        else:
            run = begin(work, bench.plan, provenance, side, check_disk)
        resumed = len(run.journal.blocks)
        try:
            make_blocks(run, job, bench, cluster=cluster, cancel=cancel, told=told)
            write_rest(run, cancel, told, tiff=tiff)
        except CancelledError as error:
            done, columns, rows = len(run.journal.blocks), *run.layout.grid
            raise CancelledError(
                f"{error}; {done} of {columns * rows} blocks are done, go on with --resume"
            ) from error
        result = result_of(bench.plan, run, resumed, time.perf_counter() - began)
        figures = result.quality.as_dict()
        write_sidecar(output, run.provenance, (size.width, size.height), figures=figures)
        work.remove()
    return result


def _no_check(_written: int) -> None:
    """For a user who knows the disk better than it tells."""


def _check(output: Path, slide: Path) -> None:
    check_output(output, slide)
    if output.name.lower().endswith(".png"):
        raise OutputError(
            f"Output {output.name}: a PNG cannot be written piece by piece; choose .ome.zarr or "
            ".ome.tif."
        )


@contextlib.contextmanager
def _said_in_words(work: WorkFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kept = " What is done is kept; go on with --resume." if work.unfinished else ""
        raise OutputError(f"{cannot_write(work.output, error)}{kept}") from error
