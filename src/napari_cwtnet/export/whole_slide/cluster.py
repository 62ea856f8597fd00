"""Blocks on the workers of a Dask cluster, each of which writes its own chunks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CwtnetError, OutputError, RequestError
from napari_cwtnet.export.whole_slide.compute import make_block
from napari_cwtnet.export.whole_slide.job import Job, one_at_a_time, shared_bench
from napari_cwtnet.export.whole_slide.journal import Done
from napari_cwtnet.export.whole_slide.layout import Block, Layout
from napari_cwtnet.export.whole_slide.opening import Run, check_same
from napari_cwtnet.export.whole_slide.store import Store

_RETRIES = 3
_CONNECT_SECONDS = 20
_LOOK_SECONDS = 0.1


def describe(job: Job) -> dict[str, Any]:
    """A worker's provenance of a job."""
    with one_at_a_time:
        return shared_bench(job).provenance


def block_task(
    job: Job, image: Path, provenance: Mapping[str, Any], layout: Layout, block: Block
) -> Done:
    """A block, computed and written by a worker; a pure function of its arguments."""
    with one_at_a_time:
        bench = shared_bench(job)
        check_same(
            provenance,
            bench.provenance,
            "The workers differ",
            "give all of them the same software, model, slide and kind of device",
        )
        return make_block(bench, Store(image), layout, block)


class Cluster:
    """A connection to a Dask scheduler; a context manager.

    Parameters
    ----------
    address : str
        Such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    RequestError
        If Dask is not installed, or the scheduler or its workers do not answer.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise RequestError(
                "--scheduler needs Dask; install it by: pip install 'napari-cwtnet[cluster]'."
            ) from None
        try:
            self._client = Client(address, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise RequestError(
                f"Scheduler {address!r} does not answer; give the address that `dask scheduler` "
                "says, such as tcp://10.0.0.1:8786."
            ) from error
        try:
            self._client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        except TimeoutError:
            self._client.close()
            raise RequestError(
                f"Scheduler {address!r} has no workers; start some by: dask worker {address}"
            ) from None

    def describe(self, job: Job) -> dict[str, Any]:
        """What the workers make: the provenance of a job, as one of them has it."""
        found: dict[str, Any] = self._client.submit(describe, job, pure=False).result()
        return found

    def blocks(self, job: Job, run: Run, cancel: CancelToken) -> Iterator[Done]:
        """The blocks that are pending in a run as they are done, in any order.

        Raises
        ------
        CancelledError
            After ``cancel`` was called.
        CwtnetError
            If a block failed on every attempt.
        """
        from distributed import as_completed

        shared = (job, run.work.image, run.journal.head.provenance, run.layout)
        futures = [
            self._client.submit(block_task, *shared, block, pure=False, retries=_RETRIES)
            for block in run.pending
        ]
        ready = as_completed(futures)
        try:
            left = len(futures)
            while left:
                cancel.raise_if_cancelled()
                batch = ready.next_batch(block=False)
                for future in batch:
                    yield _result(future)
                    left -= 1
                if not batch:
                    time.sleep(_LOOK_SECONDS)
        finally:
            self._client.cancel(futures)

    def __enter__(self) -> Cluster:
        """The cluster itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the scheduler; its workers go on for others."""
        self._client.close()


def _result(future: Any) -> Done:
    from distributed import KilledWorker

    try:
        done: Done = future.result()
    except (CwtnetError, OSError):
        raise
    except KilledWorker as error:
        raise OutputError(
            f"A block took down {_RETRIES + 1} workers, each may have had too little memory; give "
            "them more or choose a smaller --block, and begin anew, or go on with --resume."
        ) from error
    return done
