"""Kill a run before each of its file operations, and look at what is there then.

Usage: ``python tools/kill_points.py [SCENARIO ...] [--every N] [--list]``

A scenario is an export, a whole slide, a fine-tuning or the building of a dataset, into a new name
or over an older result. It runs once to count its operations on files: opening for writing,
writing, renaming, exchanging, removing, making and removing folders, cutting short. Then it runs
once for each of them, in a process that kills itself (SIGKILL) before that operation. After each
kill the name must hold the old result or the new one, whole, and the record beside it must be of
the same run; after the next run the new result must be there, and nothing else. Prints a line a
scenario and exits 1 if a point fails. ``--every N`` takes each Nth point only. Needs fork; some
seconds a point.
"""

from __future__ import annotations

import argparse
import builtins
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from napari_cwtnet import files
from napari_cwtnet.errors import OutputError
from napari_cwtnet.export import export_image
from napari_cwtnet.export.record import checked_record, sidecar_path
from napari_cwtnet.export.whole_slide import Job, enhance_to_file
from napari_cwtnet.export.whole_slide.work_folder import WorkFolder
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import CwtNet, load_model, preset, save_weights
from napari_cwtnet.training.dataset import MANIFEST, build_dataset
from napari_cwtnet.training.finetune import finetune_recipe, install, slide_source
from napari_cwtnet.training.run_folder import LOCK_NAME, RunLog, read_run
from napari_cwtnet.training.trainer import Trainer

_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Operations:
    """Counts what this process does to the files of a folder, and kills it before one.

    Parameters
    ----------
    folder : Path
        Other files do not count.
    last : int
        The operation that is not done any more; 0 for none.
    """

    def __init__(self, folder: Path, last: int = 0) -> None:
        self.count = 0
        self._folder, self._last = os.fspath(folder), last

    def watch(self) -> None:
        """Begin; there is no end, for hooks stay with the process."""
        sys.addaudithook(self._audited)
        io.open = builtins.open = self._open
        exchange = files._exchange

        def exchanged(a: Path, b: Path) -> bool:
            self.tick()
            return exchange(a, b)

        files._exchange = exchanged

    def tick(self) -> None:
        """One operation is about to be done."""
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def _audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS:
            inside = self._is_inside(arguments[0]) or any(
                isinstance(one, int) and one >= 0 for one in arguments[1:]
            )  # of a folder that is open, as shutil.rmtree removes
        else:
            inside = event == "open" and bool(arguments[2] & _WRITING)
            inside = inside and self._is_inside(arguments[0])
        if inside:
            self.tick()

    def _is_inside(self, path: Any) -> bool:
        return isinstance(path, (str, bytes, os.PathLike)) and os.fsdecode(path).startswith(
            self._folder
        )

    def _open(  # noqa: PLR0917  as the built-in one
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """As the built-in one, with writes that count."""
        if not set("wax+") & set(mode) or not self._is_inside(file):
            return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = _Counted(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        raw.tick = self.tick
        if buffering == 0:
            return raw
        binary = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, encoding, errors, newline)


_open = builtins.open


class _Counted(io.FileIO):
    tick: Callable[[], None]

    def write(self, data: Any, /) -> int:
        """Count, and write."""
        self.tick()
        return super().write(data)


def _nothing(folder: Path) -> None:
    """Leave a folder as it is."""


@dataclass(frozen=True)
class Scenario:
    """A run that is to be killed. Functions take the folder that it works in, new for each."""

    run: Callable[[Path], None]
    again: Callable[[Path], None]
    """The next run."""
    check: Callable[[Path], None]
    """What must hold whenever the run was killed; raises AssertionError."""
    check_end: Callable[[Path], None]
    """What must hold after the next run."""
    before: Callable[[Path], None] = _nothing
    """What was there already."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the points of a scenario went."""

    points: int
    """In all, whether tried or not."""
    tried: int
    failures: tuple[str, ...]


def try_all(scenario: Scenario, folder: Path, every: int = 1) -> Outcome:
    """Kill a scenario before each ``every``-th of its operations.

    Parameters
    ----------
    scenario : Scenario
        What to run.
    folder : Path
        Empty; runs get folders in it.
    every : int
        1 for all points.
    """
    points = _count(scenario, folder / "count")
    failures = []
    chosen = range(1, points + 1, every)
    for point in chosen:
        work = folder / f"point-{point}"
        work.mkdir()
        scenario.before(work)
        code, said = _in_child(partial(_run_until, scenario, work, point))
        if code != -signal.SIGKILL:
            failures.append(f"{point}: was not reached ({code}): {said}")
        else:
            code, said = _in_child(partial(_look, scenario, work))
            if code:
                failures.append(f"{point}: {said}")
        shutil.rmtree(work)
    return Outcome(points, len(chosen), tuple(failures))


def _count(scenario: Scenario, work: Path) -> int:
    work.mkdir()
    scenario.before(work)
    told = work.with_name("told")

    def run() -> None:
        operations = Operations(work)
        operations.watch()
        scenario.run(work)
        told.write_text(str(operations.count))

    code, said = _in_child(run)
    if code:
        raise RuntimeError(f"The run fails without being killed: {said}")
    shutil.rmtree(work)
    return int(told.read_text())


def _run_until(scenario: Scenario, work: Path, point: int) -> None:
    Operations(work, point).watch()
    scenario.run(work)


def _look(scenario: Scenario, work: Path) -> None:
    scenario.check(work)
    scenario.again(work)
    scenario.check(work)
    scenario.check_end(work)


def _in_child(function: Callable[[], None]) -> tuple[int, str]:
    """Exit code of a forked process, and the last line of what it raised."""
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 2)
            try:
                function()
            except BaseException:  # noqa: BLE001  the parent tells of it
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return code, " | ".join(said.read().splitlines()[-3:])


_SIZE = 40


def _export(name: str, tone: int, folder: Path) -> None:
    pixels = np.full((_SIZE, _SIZE, 3), tone, np.uint8)
    export_image(folder / name, pixels, {"badge": "COMPUTED", "model": f"of {tone}"}, 0.25)


def _check_image(name: str, models: Iterable[str | None], folder: Path) -> None:
    """An image of one of these models, whole, or none (None); the file beside it is the same."""
    path = folder / name
    seen = {one.name for one in folder.iterdir() if not one.name.startswith(".")}
    if path.exists():
        record = checked_record(path).model_dump(mode="json", exclude_unset=True)
        assert record["model"] in models, record["model"]
        if sidecar_path(path).exists():
            assert json.loads(sidecar_path(path).read_text()) == record, "the file beside it"
    else:
        assert None in models, "nothing is there"
    assert seen <= {name, f"{name}.json"}, seen


def _check_end(name: str, model: str, folder: Path) -> None:
    _check_image(name, [model], folder)
    assert {one.name for one in folder.iterdir()} == {name, f"{name}.json"}, list(folder.iterdir())


def export_scenario(name: str, *, older: bool) -> Scenario:
    """An export of a small image."""
    return Scenario(
        run=partial(_export, name, 90),
        again=partial(_export, name, 90),
        check=partial(_check_image, name, ["of 90", "of 50" if older else None]),
        check_end=partial(_check_end, name, "of 90"),
        before=partial(_export, name, 50) if older else _nothing,
    )


def _model(folder: Path, seed: int) -> Path:
    import torch

    torch.manual_seed(seed)
    fields = {"blocks": 1, "channels": 8, "tile": 96, "halo": 8, "skip": "finest"}
    path = folder / f"model-{seed}.safetensors"
    save_weights(path, CwtNet(preset("lite", 2, **fields)), {})
    return path


def _pattern(width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    cells = np.random.default_rng(0).integers(0, 2, (-(-height // 8), -(-width // 8)))
    blue = 60 + 120 * cells.repeat(8, 0).repeat(8, 1)[:height, :width]
    x = np.broadcast_to(np.arange(width) // 10, (height, width))
    return np.stack((x % 250, x % 200, blue), 2).astype(np.uint8)


def whole_scenario(inputs: Path, name: str, *, older: bool) -> Scenario:
    """A whole slide of one block."""
    slide = inputs / "slide.png"
    Image.fromarray(_pattern(96, 64)).save(slide)
    jobs = [
        Job(slide, str(_model(inputs, seed)), Region(0, 0, 96, 64), 2.0, device="cpu", mpp=0.25)
        for seed in (0, 1)
    ]

    def make(number: int, folder: Path) -> None:
        output = folder / name
        enhance_to_file(jobs[number], output, resume=WorkFolder(output).unfinished)

    return Scenario(
        run=partial(make, 1),
        again=partial(make, 1),
        check=partial(_check_image, name, ["model-1", "model-0" if older else None]),
        check_end=partial(_check_end, name, "model-1"),
        before=partial(make, 0) if older else _nothing,
    )


def finetune_scenario(inputs: Path) -> Scenario:
    """Four steps, measured three times, and the model put among the user's."""
    slide = inputs / "finetune.png"
    Image.fromarray(_pattern(384, 192)).save(slide)
    fields = {"patch": 16, "batch": 2, "steps": 4, "validate_every": 2, "name": "tuned"}
    model = load_model(_model(inputs, 0))
    recipe = finetune_recipe(model, [slide_source(slide, validation_fields=1)], fields)

    def run(folder: Path) -> None:
        os.environ["CWTNET_MODELS"] = str(folder / "models")
        *_, done = Trainer(recipe, Path(), folder / "run").run()
        install(done.weights, recipe.name)  # type: ignore[union-attr]

    def check(folder: Path) -> None:
        for place in ("run", "models"):
            if (folder / place / "tuned.safetensors").exists():
                load_model(folder / place / "tuned.safetensors")
        if (folder / "run" / "recipe.yaml").exists():
            read_run(folder / "run")

    def check_end(folder: Path) -> None:
        made = {"last.safetensors", "recipe.yaml", "log.csv", "tuned.safetensors", LOCK_NAME}
        seen = {one.name for one in (folder / "run").iterdir()} - {"tensorboard"}
        assert seen == made, seen
        assert [row["step"] for row in RunLog(folder / "run" / "log.csv").rows()] == [0, 2, 4]
        weights, installed = folder / "run" / "tuned.safetensors", folder / "models"
        assert [one.name for one in installed.iterdir()] == [weights.name], list(
            installed.iterdir()
        )
        assert (installed / weights.name).read_bytes() == weights.read_bytes()

    return Scenario(run, run, check, check_end)


def dataset_scenario(inputs: Path) -> Scenario:
    """Two samples of two levels."""
    slide = inputs / "dataset.tif"
    image = _pattern(2560, 1030)
    with tifffile.TiffWriter(slide) as writer:
        for number in range(2):
            level = np.asarray(image[:: number + 1, :: number + 1])
            options: dict[str, Any] = {"photometric": "rgb", "metadata": None}
            writer.write(level, subfiletype=number, tile=(256, 256), **options)

    def run(folder: Path) -> None:
        finished = (folder / "set").exists()
        try:
            build_dataset(
                [slide], folder / "set", magnifications=(20, 10), count=2, mpp=0.5, computed=True
            )
        except OutputError:
            if not finished:  # else it is not built twice
                raise

    def check(folder: Path) -> None:
        output = folder / "set"
        if output.exists():
            manifest = json.loads((output / MANIFEST).read_text())
            named = {file for one in manifest["samples"] for file in one["files"].values()}
            seen = {one.relative_to(output).as_posix() for one in output.rglob("*.png")}
            assert seen == named, seen ^ named

    def check_end(folder: Path) -> None:
        assert [one.name for one in folder.iterdir()] == ["set"], list(folder.iterdir())

    return Scenario(run, run, check, check_end)


def scenarios(inputs: Path) -> dict[str, Callable[[], Scenario]]:
    """All that there are, by name."""
    found: dict[str, Callable[[], Scenario]] = {}
    for older in (False, True):
        words = " over an older one" if older else ""
        for suffix in ("png", "ome.tif", "ome.zarr"):
            found[f"export {suffix}{words}"] = partial(
                export_scenario, f"out.{suffix}", older=older
            )
        for suffix in ("ome.tif", "ome.zarr"):
            found[f"whole slide {suffix}{words}"] = partial(
                whole_scenario, inputs, f"out.{suffix}", older=older
            )
    return found | {
        "finetune": partial(finetune_scenario, inputs),
        "dataset": partial(dataset_scenario, inputs),
    }


def main() -> int:
    """Try the scenarios that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenario", nargs="*", help="parts of names; all without any")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as name:
        inputs = Path(name) / "inputs"
        inputs.mkdir()
        for title, make in scenarios(inputs).items():
            if arguments.scenario and not any(part in title for part in arguments.scenario):
                continue
            if arguments.list:
                print(title)
                continue
            folder = Path(name) / title.replace(" ", "-")
            folder.mkdir()
            found = try_all(make(), folder, arguments.every)
            right = found.tried - len(found.failures)
            print(f"{title}: {found.points} points, {right} of {found.tried} right", flush=True)
            for failure in found.failures:
                print(f"  {failure}", flush=True)
            failed = failed or bool(found.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
