"""Open thousands of slides and models with spoilt headers: each is opened, or refused in words.

Usage: ``python tools/fuzz_headers.py [--cases 10000] [--seed 0] [--real FOLDER] [--only NAME]``

Each file is opened and read in a process of its own kind: one that crashes, raises anything but a
`CwtnetError`, takes more than five seconds or 2 GiB is printed with the words that make it again,
``--only NAME --seed SEED --cases 1``. Exits 1 if there is one. ``--real`` adds the slides below a
folder to those that are made here.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz_files import Base, bases

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import load_model
from napari_cwtnet.model.weights import read_header
from napari_cwtnet.slides import open_slide

SECONDS = 5.0
MEMORY = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one file."""

    base: str
    seed: int
    kind: str
    """opened, refused, wrong (another exception), slow or crashed"""
    words: str
    seconds: float


def case(base: Base, seed: int) -> bytes:
    """The spoilt file of a seed."""
    return base.spoil(base.content, random.Random(f"{base.name} {seed}"))


def open_and_look(path: Path) -> None:
    """What the docks and the command line do first with a file.

    Raises
    ------
    CwtnetError
        If it is refused.
    AssertionError
        If what was opened is no slide or model.
    """
    if path.suffix == ".safetensors":
        header = read_header(path)
        assert header.scale in (2, 4, 8)
        assert header.takes_reference in (True, False)
        model = load_model(path)
        assert all(bool(v.isfinite().all()) for v in model.network.state_dict().values())
        return
    with open_slide(path) as slide:
        side = Region(0, 0, min(64, slide.size.width), min(64, slide.size.height))
        assert min(side.width, side.height) > 0
        assert slide.read(side, 1).shape == (side.height, side.width, 3)
        last = len(slide.levels) - 1
        assert slide.read_level(last, 0, 0, 32, 32).shape == (32, 32, 3)
        assert slide.mpp is None or 0.05 <= slide.mpp <= 20
        assert len(slide.fingerprint) == 32
        repr(slide), slide.computed, slide.computed_place


def serve(folder: Path) -> None:
    """Open what stdin names, in a folder of its own, and say on stdout what came of it."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    now = pages * os.sysconf("SC_PAGESIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            open_and_look(folder / line.strip())
            answer = ["opened", ""]
        except CwtnetError as error:
            answer = ["refused" if "\n" not in str(error) else "wrong", str(error)]
        except BaseException:  # noqa: BLE001 - that is what is looked for
            answer = ["wrong", traceback.format_exc()]
        print(json.dumps(answer), flush=True)


class Watched:
    """A process that opens files, killed when it takes too long and begun anew when it is gone."""

    def __init__(
        self,
        folder: Path,
        errors: Path,
        program: Sequence[str] = (sys.executable, __file__),
        seconds: float = SECONDS,
    ) -> None:
        self._words = [*program, "--serve", str(folder)]
        self._errors = errors
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None

    def open(self, name: str) -> tuple[str, str, float]:
        """Kind of verdict, words, and seconds."""
        process = self._process or self._begun()
        assert process.stdin is not None
        assert process.stdout is not None
        began = time.perf_counter()
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], self._seconds)
        seconds = time.perf_counter() - began
        line = process.stdout.readline() if ready else ""
        if line:
            kind, words = json.loads(line)
            return kind, words, seconds
        kind = "crashed" if ready else "slow"
        self.close()
        said = self._errors.read_text(errors="replace").strip().splitlines()[-1:]
        return kind, f"exit {process.returncode}: {' '.join(said)}", seconds

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def _begun(self) -> subprocess.Popen[str]:
        with self._errors.open("w") as errors:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self._words, stdin=pipe, stdout=pipe, stderr=errors, text=True
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self._process


def judge(cases: Iterable[tuple[Base, int]]) -> Iterator[Verdict]:
    """Open the spoilt file of each base and seed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watched = Watched(folder, folder / "errors.log")
        try:
            for base, seed in cases:
                here = folder / base.name
                here.mkdir(exist_ok=True)
                for other in base.beside:
                    if not (here / other.name).exists():
                        (here / other.name).symlink_to(other.resolve())
                path = here / f"spoilt{base.suffix}"
                path.write_bytes(case(base, seed))
                yield Verdict(base.name, seed, *watched.open(str(path.relative_to(folder))))
        finally:
            watched.close()


def main() -> int:
    """Judge all cases and print what is wrong; 1 if anything is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--real", type=Path, help="folder with slides to spoil too")
    parser.add_argument("--only", help="name of one base")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve(given.serve)
        return 0
    chosen = [base for base in bases(given.real) if given.only in (None, base.name)]
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    slowest: Verdict | None = None
    seeds = range(given.seed, given.seed + given.cases)
    for verdict in judge((chosen[seed % len(chosen)], seed) for seed in seeds):
        counts[verdict.base, verdict.kind] += 1
        slowest = max((slowest or verdict, verdict), key=lambda one: one.seconds)
        if verdict.kind not in ("opened", "refused"):
            print(f"--only {verdict.base} --seed {verdict.seed}: {verdict.kind}\n{verdict.words}")
    for (base, kind), count in sorted(counts.items()):
        print(f"{base:40} {kind:8} {count}")
    if slowest is not None:
        print(f"slowest: {slowest.base}, seed {slowest.seed}, {slowest.seconds:.2f} s")
    return int(any(kind not in ("opened", "refused") for _, kind in counts))


if __name__ == "__main__":
    sys.exit(main())
