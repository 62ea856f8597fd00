"""Blocks on the workers of a Dask cluster, each of which writes its own chunks."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError as FutureCancelledError
from types import TracebackType
from typing import Any

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import OutputError, RequestError
from napari_cwtnet.export.whole_slide import compute
from napari_cwtnet.export.whole_slide.blocks import for_workers
from napari_cwtnet.export.whole_slide.job import Job
from napari_cwtnet.export.whole_slide.journal import Done
from napari_cwtnet.export.whole_slide.open_run import Run

_RETRIES = 3
_CONNECT_SECONDS = 15
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
        # They would report with a traceback what is said here in words.
        for name in ("distributed", "tornado.application", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._client = _Connecting(Client, address).client()

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
        with _faults_told():
            workers = max(1, len(self._client.nthreads()))
        futures = [
            self._client.submit(compute.make, *shared, block, pure=False, retries=_RETRIES)
            for block in for_workers(list(run.pending), workers)
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


class _Connecting(threading.Thread):
    """Connects in a thread of its own, since Dask waits without end for a port that says nothing.

    Parameters
    ----------
    make : callable
        Makes a client of an address.
    address : str
        Of the scheduler.
    """

    def __init__(self, make: Callable[..., Any], address: str) -> None:
        super().__init__(daemon=True)
        self._make, self._address = make, address
        self._client: Any = None
        self._has_workers = False
        self._error: BaseException | None = None

    def run(self) -> None:
        """Connect, and wait for a worker."""
        try:
            self._client = self._make(self._address, timeout=_CONNECT_SECONDS)
            self._client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
            self._has_workers = True
        except Exception as error:  # noqa: BLE001  # what codecs say of a stranger's bytes
            self._error = error

    def client(self) -> Any:
        """The connected client.

        Raises
        ------
        RequestError
            If the scheduler does not answer in time, or has no workers.
        """
        self.start()
        end = time.monotonic() + _CONNECT_SECONDS
        while self.is_alive() and time.monotonic() < end:
            self.join(_LOOK_SECONDS)  # short, so that Ctrl-C is heard
        if self._has_workers:
            return self._client
        if self._client is not None:
            self._client.close(timeout=1)
            raise RequestError(
                f"Scheduler {self._address!r} has no workers; start some by: dask worker "
                f"{self._address}"
            )
        what = (
            "does not answer; give the address that `dask scheduler` says, such as "
            "tcp://10.0.0.1:8786"
        )
        if self._address.startswith("tls:"):
            tls = "DASK_DISTRIBUTED__COMM__TLS__"
            what = (
                "does not answer, or not to this certificate; check the address and the files that "
                f"{tls}CA_FILE, {tls}CLIENT__CERT and {tls}CLIENT__KEY name"
            )
        raise RequestError(f"Scheduler {self._address!r} {what}.") from self._error


def _result(future: Any) -> Any:
    with _faults_told():
        return future.result()


@contextlib.contextmanager
def _faults_told() -> Iterator[None]:
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    try:
        yield
    except (CommClosedError, FutureCancelledError) as error:
        raise OutputError(
            "The connection to the scheduler is lost; see that it runs, and resume the run."
        ) from error
    except KilledWorker as error:
        raise OutputError(
            "A block ended several workers, perhaps for lack of memory; give them more and "
            "resume the run, or delete the folder of the run and start again with a "
            "smaller --block."
        ) from error
