"""One command for the whole day; a second call goes on where the first one stopped."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from gpu_day.checks import run_bench, run_tests
from gpu_day.feed import make_pool
from gpu_day.pack import MIB, pack, unpack
from gpu_day.stages import SCALES, Day, train
from gpu_day.taken import take
from napari_cwtnet.errors import CwtnetError, TrainingError
from napari_cwtnet.files import written_whole
from napari_cwtnet.training.recipe import load_recipe, shipped_recipes

PARTS = ("tests", "bench", "train")
_RESERVE = 40.0
"""Seconds of a call that are kept for the last measurement and for what is taken along."""
_TOY_RESERVE = 5.0


def main(words: list[str] | None = None) -> int:
    """Exit status: 1 where something could not be used, with one line on stderr."""
    arguments = _parser().parse_args(words)
    try:
        if arguments.pack is not None:
            _pack(arguments.pack, arguments.data, arguments.pack_size * MIB)
            return 0
        if not (torch.cuda.is_available() or arguments.rehearse):
            print(
                "No CUDA device; --rehearse runs everything here at toy size.",
                file=sys.stderr,
            )
            return 1
        _spend(arguments)
    except CwtnetError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpu_day", description=__doc__)
    add = parser.add_argument
    add("--pack", type=Path, metavar="IMAGES", help="only write --data, of these training images")
    add("--pack-size", type=float, default=44, metavar="MIB", help="of --data, at most")
    add("--data", type=Path, default=Path("runs/gpu-day-data.tar"), help="packed images")
    add("--output", type=Path, default=Path("runs/gpu-day"), help="the runs; taken up if there")
    add("--minutes", type=float, help="of training in all calls together (8)")
    add("--limit", type=float, default=560, help="seconds that this call may take")
    add("--only", nargs="+", choices=PARTS, default=PARTS)
    add("--scales", nargs="+", type=int, choices=SCALES, default=SCALES, help="scales to train")
    add("--start", type=Path, help="folder of weights that an earlier day took along")
    cores = max(1, (os.cpu_count() or 2) - 1)
    add("--processes", type=int, default=cores, help="that draw and compress; 0: a thread")
    add("--rehearse", action="store_true", help="all of it at toy size, on the processor")
    return parser


def _pack(images: Path, target: Path, most: float) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    recipe = load_recipe(shipped_recipes()["cwtnet-lite-x2"])
    packed = pack(recipe.sources, images, target, int(most))
    for name, line in packed.items():
        print(f"{name}: {line}")
    print(f"{target}: {target.stat().st_size / MIB:.1f} MiB")


def _spend(arguments: argparse.Namespace) -> None:
    """The day, or what is left of it."""
    began = time.monotonic()
    reserve = _TOY_RESERVE if arguments.rehearse else _RESERVE
    until = began + arguments.limit - reserve
    output: Path = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    record = _record(output, arguments)
    device = torch.device("cpu" if arguments.rehearse else "cuda")
    torch.backends.cudnn.benchmark = True
    day = Day(output, record["minutes"], device, toy=arguments.rehearse)
    target = Path(os.environ.get("OUT") or output / "taken")
    with make_pool(arguments.processes) as pool:
        data = output / "data"
        unpack(arguments.data, data, pool)
        if "tests" in arguments.only and "tests" not in record:
            record["tests"] = run_tests(output, min(180.0, until - time.monotonic()))
            _keep(record, output, f"tests: {record['tests']}")
        if "bench" in arguments.only and "bench" not in record:
            left = min(150.0, until - time.monotonic())
            record["bench"] = run_bench(
                output, str(device), data / "sample", left, toy=arguments.rehearse
            )
            _keep(record, output, f"bench: {record['bench']}")
        for scale in arguments.scales if "train" in arguments.only else ():
            name = f"x{scale}"
            if record["runs"].get(name, {}).get("over") or time.monotonic() >= until:
                continue
            run = train(day, scale, data, pool, until=until, given=arguments.start)
            record["runs"][name] = run
            rate, waiting = run["trained_per_s"], run["waiting_share"]
            _keep(
                record,
                output,
                f"{name}: step {run['step']}, {run['psnr']:.2f} dB; {rate} patches a second, "
                f"{waiting} of the time waiting for the feed, which alone makes "
                f"{run['fed_alone_per_s']} a second with {arguments.processes} processes",
            )
            take(day, record, target)
    files = take(day, record, target)
    over = all(record["runs"].get(f"x{scale}", {}).get("over") for scale in arguments.scales)
    print(f"{target}: {len(files)} files, {sum(f.stat().st_size for f in files) / MIB:.1f} MiB")
    print("The day is over." if over else "Call it again to continue.")


def _record(output: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """What earlier calls found; their minutes hold for this one, too."""
    path = output / "day.json"
    minutes = arguments.minutes
    if not path.exists():
        return {
            "minutes": minutes or (0.2 if arguments.rehearse else 8.0),
            "rehearsal": arguments.rehearse,
            "torch": torch.__version__,
            "device": "cpu" if arguments.rehearse else torch.cuda.get_device_name(),
            "processes": arguments.processes,
            "runs": {},
        }
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if minutes not in (None, record["minutes"]) or record["rehearsal"] != arguments.rehearse:
        kind = "a rehearsal" if record["rehearsal"] else "a day"
        raise TrainingError(
            f"{output} holds {kind} of {record['minutes']:g} minutes; leave --minutes out and go "
            "on as it began, or choose another --output."
        )
    return record


def _keep(record: dict[str, Any], output: Path, line: str) -> None:
    with written_whole(output / "day.json") as partial:
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
