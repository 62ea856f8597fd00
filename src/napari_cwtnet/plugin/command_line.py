"""The line that makes the same pixels in a terminal."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable

from napari_cwtnet.geometry import Region
from napari_cwtnet.model import list_models
from napari_cwtnet.plugin.results import Source
from napari_cwtnet.plugin.slide_facts import user_mpp, wants_icc

PROGRAM = "napari-cwtnet"
OUTPUT = "enhanced.ome.tif"


def command_line(words: Iterable[object]) -> str:
    """``napari-cwtnet`` and words, quoted for the shell of this system.

    >>> command_line(["info", "a slide.svs"])
    "napari-cwtnet info 'a slide.svs'"
    """
    texts = [PROGRAM, *(str(word) for word in words)]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


def enhance_words(source: Source, output: str = OUTPUT) -> list[str]:
    """The words after ``napari-cwtnet`` that make a result again, to the last bit."""
    job, slide = source.job, source.slide
    names = {path: name for name, path in list_models().items()}
    words = [
        "enhance", str(job.slide.path.resolve()),
        "--region", exact_region(source.plan.region),
        "--downsample", exact(source.plan.downsample),
        "--model", names.get(job.model, str(job.model)),
        "--reference", job.request.reference,
    ]  # fmt: skip
    if job.device != "auto":
        words += ["--device", job.device]
    mpp = user_mpp(slide)
    if mpp is not None:
        words += ["--mpp", exact(mpp)]
    if not wants_icc(job.slide):
        words.append("--no-icc")
    return [*words, "--output", output]


def exact_region(region: Region) -> str:
    """``X,Y,WIDTH,HEIGHT`` that are read back as the same numbers; `Region` prints ten digits."""
    return ",".join(exact(v) for v in (region.x, region.y, region.width, region.height))


def exact(value: float) -> str:
    """The shortest digits that are read back as the same number.

    >>> exact(2.0), exact(0.1)
    ('2', '0.1')
    """
    return repr(float(value)).removesuffix(".0")
