"""A whole slide by two workers of a real Dask cluster, one of which is killed at work."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.whole_help import BLOCK, without_time, write_model, write_slide
from napari_cwtnet.errors import OutputError, RequestError
from napari_cwtnet.export.whole_slide import Job, enhance_to_file

distributed = pytest.importorskip("distributed")

SCHEDULER = ("distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--host")
WORKER = ("distributed.cli.dask_worker", "--no-nanny", "--no-dashboard", "--nthreads", "1")


class Cluster:
    """A scheduler and workers, each a process of its own."""

    def __init__(
        self, folder: Path, protocol: str = "tcp", variables: dict[str, str] | None = None
    ) -> None:
        self._folder = folder
        self._environment = os.environ | (variables or {})
        self._processes: list[subprocess.Popen[bytes]] = []
        told = folder / "scheduler.json"
        words = ("--scheduler-file", told, "--protocol", protocol)
        self.start(*SCHEDULER, "127.0.0.1", *words)
        end = time.monotonic() + 180
        while not told.exists() or not told.read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
        self.address: str = json.loads(told.read_text())["address"]

    def start(self, *words: object) -> subprocess.Popen[bytes]:
        with (self._folder / f"{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *map(str, words)],
                stdout=log, stderr=log, cwd=self._folder, env=self._environment,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        return self.start(*WORKER, "--local-directory", self._folder, self.address)

    def kill_scheduler(self) -> None:
        self._processes[0].kill()

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.stop()


@pytest.mark.slow
def test_two_workers_one_of_them_killed(cluster: Cluster, tmp_path: Path) -> None:
    job = Job(
        write_slide(tmp_path / "slide.tif"),
        str(write_model(tmp_path, 2)),
        downsample=2.0,
        device="cpu",
    )
    workers = [cluster.worker() for _ in range(2)]
    output = tmp_path / "cluster.ome.zarr"
    with distributed.Client(cluster.address) as watcher:
        watcher.wait_for_workers(2, timeout=60)
        pids = watcher.run(os.getpid)
        killed = []

        def told(what: str, done: int, total: int) -> None:
            if what == "tile" and done and not killed:
                busy = [name for name, tasks in watcher.processing().items() if tasks]
                killed.append(pids[busy[0]])
                os.kill(killed[0], signal.SIGKILL)

        made = enhance_to_file(job, output, scheduler=cluster.address, block=BLOCK, told=told)
    ended = {worker.pid: worker.poll() for worker in workers}
    assert ended.pop(killed[0]) == -signal.SIGKILL
    assert list(ended.values()) == [None]
    assert made.blocks == 4
    alone = enhance_to_file(job, tmp_path / "alone.ome.zarr", block=BLOCK)
    assert without_time(output) == without_time(tmp_path / "alone.ome.zarr")
    assert made.quality == alone.quality
    assert made.computed_tiles >= alone.computed_tiles
    unknown = dataclasses.replace(job, device="tpu")
    with pytest.raises(RequestError, match="Device 'tpu'"):  # as a worker says it
        enhance_to_file(unknown, tmp_path / "no.ome.zarr", scheduler=cluster.address)
    assert not (tmp_path / "no.ome.zarr").exists()

    # The worker that is left has slide and weights open; now these are other weights.
    write_model(tmp_path, 2, seed=9)

    def scheduler_gone(what: str, done: int, total: int) -> None:
        if what == "tile" and done:
            cluster.kill_scheduler()

    output = tmp_path / "lost.ome.zarr"
    with pytest.raises(OutputError, match=r"connection to the scheduler is lost.*resume the run"):
        enhance_to_file(job, output, scheduler=cluster.address, block=BLOCK, told=scheduler_gone)
    assert enhance_to_file(job, output, resume=True).resumed_blocks >= 1  # else refused
    now, before = (
        json.loads((tmp_path / f"{name}.ome.zarr.json").read_text(encoding="utf-8"))
        for name in ("lost", "alone")
    )
    assert now["model_sha256"] != before["model_sha256"]


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 200 OK\r\n\r\n" * 100])
def test_a_port_that_is_no_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, greeting: bytes
) -> None:
    """Dask waits without end for one that says nothing."""
    monkeypatch.setattr("napari_cwtnet.export.whole_slide.cluster._CONNECT_SECONDS", 2)
    job = Job(write_slide(tmp_path / "slide.tif"), "cwtnet-lite-x2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def answer() -> None:
            with contextlib.suppress(OSError):  # closed at the end
                accepted.append(server.accept()[0])
                accepted[0].sendall(greeting)

        threading.Thread(target=answer, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(RequestError, match=r"does not answer; give the address"):
            enhance_to_file(job, tmp_path / "out.ome.zarr", scheduler=address)
        assert time.monotonic() - began < 15
    for one in accepted:
        one.close()


def test_no_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cwtnet.export.whole_slide.cluster._CONNECT_SECONDS", 1)
    job = Job(write_slide(tmp_path / "slide.tif"), "cwtnet-lite-x2")
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(RequestError, match=r"does not answer; give the address"):
            enhance_to_file(job, tmp_path / "out.ome.zarr", scheduler=address)
    assert [path.name for path in tmp_path.iterdir()] == ["slide.tif"]
