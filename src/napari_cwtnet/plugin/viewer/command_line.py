"""The line that makes the same pixels in a terminal."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.tasks.enhance import Job
from napari_cwtnet.plugin.tasks.model_list import MODELS
from napari_cwtnet.plugin.viewer.selection import Source
from napari_cwtnet.plugin.viewer.slide_layer import user_mpp, wants_icc
from napari_cwtnet.slides import Slide

PROGRAM = "napari-cwtnet"
OUTPUT = "enhanced.ome.tif"
FOLDER = "inside"
_NAMED = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def command_line(words: Iterable[object]) -> str:
    r"""``napari-cwtnet`` and words, quoted for the shell of this system.

    >>> command_line(["info", "a slide.svs"])
    "napari-cwtnet info 'a slide.svs'"

    What a terminal would take for an instruction when the line is pasted is written out:

    >>> print(command_line(["info", "a\nb"]))
    napari-cwtnet info $'a\nb'
    """
    texts = [PROGRAM, *(str(word) for word in words)]
    if os.name == "nt":
        return subprocess.list2cmdline(texts)  # Windows allows no such characters in names
    return " ".join(map(_quoted, texts))


def _quoted(text: str) -> str:
    """A word for a POSIX shell; by ``$'…'`` where it holds what is not printed."""
    if all(one.isprintable() for one in text):
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(one: str) -> str:
    if one in _NAMED:
        return _NAMED[one]
    if one.isprintable():
        return one
    # By bytes, so that any shell's encoding and names that are no UTF-8 come out as they are.
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(one))


def info_words(slide: Slide) -> list[str]:
    """The words after ``napari-cwtnet`` that say of a slide what its dock says."""
    return ["info", str(slide.path.resolve()), *_image_words(slide), *_mpp_words(slide)]


def enhance_words(source: Source, output: str = OUTPUT, *, trust: bool = False) -> list[str]:
    """The words after ``napari-cwtnet`` that make a result again, and its mark with ``trust``."""
    words = _job_words("enhance", source.job, source.plan.region, source.slide)
    lattice = source.plan.lattice
    if lattice.grid != lattice.own_grid:
        words += ["--grid", str(lattice.grid)]
    return [*words, "--output", output, *(["--trust"] if trust else [])]


def check_words(job: Job, shown: Slide) -> list[str]:
    """The words after ``napari-cwtnet`` that give a check's figures again.

    Parameters
    ----------
    job : Job
        What was checked.
    shown : Slide
        The slide as it is shown now: with the pixel size that the user may have set since.
    """
    return _job_words("check", job, job.request.region, shown)


def inspect_words(
    job: Job,
    shown: Slide,
    *,
    place: tuple[float, float] | None = None,
    depth: int = 1,
    trust: bool = False,
    output: str = FOLDER,
) -> list[str]:
    """The words after ``napari-cwtnet`` that make the maps of a field again, to the last bit.

    Parameters
    ----------
    job : Job
        How it was captured.
    shown : Slide
        The slide as it is shown now: with the pixel size that the user may have set since.
    place : (x, y), optional
        The patch that was asked, level-0 pixels.
    depth : int
        Of the sub-bands.
    trust : bool
        Whether the slide was calibrated.
    output : str
        Folder.
    """
    words = _job_words("inspect", job, job.request.region, shown)
    if place is not None:
        words += ["--probe", f"{exact(place[0])},{exact(place[1])}"]
    if depth > 1:
        words += ["--depth", str(depth)]
    if trust:
        words.append("--trust")
    return [*words, "--output", output]


def whole_words(job: Job, shown: Slide, place: Path) -> list[str]:
    """The words after ``napari-cwtnet`` that write a whole slide, or continue to.

    Parameters
    ----------
    job : Job
        What; of an ROI, its region alone.
    shown : Slide
        The slide as it is shown now: with the pixel size that the user may have set since.
    place : Path
        Where.
    """
    words = _job_words("enhance", job, job.request.region if job.roi else None, shown)
    return [*words, "--output", str(place), "--resume"]


def _job_words(command: str, job: Job, region: Region | None, shown: Slide) -> list[str]:
    words = [
        command, str(job.slide.path.resolve()), *_image_words(job.slide),
        "--region", "all" if region is None else exact_region(region),
        "--downsample", exact(job.request.downsample),
        "--model", MODELS.name_of(job.model),
        "--reference", job.request.reference,
    ]  # fmt: skip
    if job.request.sharpness != "auto":
        words += ["--sharpness", job.request.sharpness]
    if job.device != "auto":
        words += ["--device", job.device]
    if job.dtype != "auto":
        words += ["--dtype", job.dtype]
    words += _mpp_words(shown)
    if not wants_icc(job.slide):
        words.append("--no-icc")
    return words


def _image_words(slide: Slide) -> list[str]:
    return [] if slide.explicit_image is None else ["--image", str(slide.explicit_image)]


def _mpp_words(slide: Slide) -> list[str]:
    mpp = user_mpp(slide)
    return [] if mpp is None else ["--mpp", exact(mpp)]


def exact_region(region: Region) -> str:
    """``X,Y,WIDTH,HEIGHT`` that are read back as the same numbers; `Region` prints ten digits."""
    return ",".join(exact(v) for v in (region.x, region.y, region.width, region.height))


def exact(value: float) -> str:
    """The shortest digits that are read back as the same number.

    >>> exact(2.0), exact(0.1)
    ('2', '0.1')
    """
    return repr(float(value)).removesuffix(".0")
