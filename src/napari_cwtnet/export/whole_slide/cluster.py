"""Blocks on the workers of a Dask cluster, each of which writes its own chunks."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError as FutureCancelledError
from types import TracebackType
from typing import Any

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import OutputError, RequestError
from napari_cwtnet.export.whole_slide import compute
from napari_cwtnet.export.whole_slide.job import Job
from napari_cwtnet.export.whole_slide.journal import Done
from napari_cwtnet.export.whole_slide.open_run import Run

_RETRIES = 3
_CONNECT_SECONDS = 20
_LOOK_SECONDS = 0.1


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
        # It would tell with a traceback what is told here in words.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
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
        found: dict[str, Any] = _result(self._client.submit(compute.describe, job, pure=False))
        return found

    def blocks(self, job: Job, run: Run, cancel: CancelToken) -> Iterator[Done]:
        """The blocks that are pending in a run as they are done, in any order.

        Raises
        ------
        CancelledError
            After ``cancel`` was called.
        CwtnetError
            If a block failed on every attempt, or the scheduler is gone.
        """
        from distributed import as_completed

        shared = (job, run.work.image, run.journal.head.provenance, run.layout)
        futures = [
            self._client.submit(compute.make, *shared, block, pure=False, retries=_RETRIES)
            for block in run.pending
        ]
        # Its default is the loop of the newest client of the process, which may be another's.
        ready = as_completed(futures, loop=self._client.loop)
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


def _result(future: Any) -> Any:
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    try:
        return future.result()
    except (CommClosedError, FutureCancelledError) as error:
        raise OutputError(
            "The connection to the scheduler is lost; see that it runs, and go on with --resume."
        ) from error
    except KilledWorker as error:
        raise OutputError(
            "A block took down several workers, each may have had too little memory; give them "
            "more and go on with --resume, or delete the folder of the run and begin anew with a "
            "smaller --block."
        ) from error
