"""What is remembered of slides between sessions: pixel sizes, folders, recent ones, outputs.

A small file of the user's configuration, read and written beside the window's thread. Slides are
told apart by their fingerprint, so that a copy or a renamed file is known again.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import platformdirs

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.files import written_whole
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.slides.resolution import COARSEST_MPP, FINEST_MPP

MOST_RECENT = 12
_MOST_SIZES = 2000
"""Oldest pixel sizes beyond that are dropped."""
_MOST_OUTPUTS = 200
_VARIABLE = "CWTNET_CONFIG"


def memory_path() -> Path:
    """The file; in ``$CWTNET_CONFIG`` if set."""
    chosen = os.environ.get(_VARIABLE)
    folder = Path(chosen) if chosen else Path(platformdirs.user_config_dir("napari-cwtnet"))
    return folder / "slides.json"


class SlideMemory:
    """Remembers; from any thread. What cannot be read or written is forgotten, and logged.

    `recent` and `folder` are what was looked up last: asking never touches the disk.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._recent: list[Path] = []
        self._there: list[Path] = []
        self._sizes: dict[str, float] = {}
        self._folder: Path | None = None
        self._outputs: dict[str, Path] = {}

    @property
    def recent(self) -> list[Path]:
        """Slides that were opened and were still there at the last look, the newest first."""
        with self._lock:
            return list(self._there)

    @property
    def folder(self) -> Path | None:
        """Where the last slide was opened."""
        with self._lock:
            return self._folder

    def look(self) -> None:
        """Read the file, and see which of the recent slides are there; may take long."""
        self._load()
        with self._lock:
            recent = list(self._recent)
        there = [path for path in recent if _exists(path)]  # a share that is away makes it wait
        with self._lock:
            self._there = there

    def _load(self) -> None:
        with self._lock:
            try:
                self._take(json.loads(memory_path().read_text(encoding="utf-8")))
            except FileNotFoundError:
                self._take({})
            except (OSError, ValueError, RecursionError) as error:
                logging.getLogger(__name__).warning("what is known of slides is lost: %s", error)

    def note_opened(self, path: Path) -> None:
        """Remember a slide as the newest, and its folder."""
        with self._lock:
            self._load()
            path = path.absolute()
            self._recent = [path, *(one for one in self._recent if one != path)][:MOST_RECENT]
            self._folder = path.parent
            self._save()

    def set_mpp(self, slide: Slide, mpp: float | None) -> None:
        """Remember the pixel size that a user set, µm per pixel; None for what the file says."""
        fingerprint = slide.fingerprint
        with self._lock:
            self._load()
            known = self._sizes.pop(fingerprint, None)
            if mpp is not None:
                self._sizes[fingerprint] = mpp
            if mpp is not None or known is not None:
                self._save()

    def mpp_of(self, slide: Slide) -> float | None:
        """The pixel size that a user set of this slide, in whatever session."""
        with self._lock:
            self._load()
            if not self._sizes:
                return None
        return self._sizes.get(slide.fingerprint)

    def output_of(
        self, slide: Slide, model: str, downsample: float
    ) -> tuple[Path | None, Path | None]:
        """Where this slide was written to as a whole, and the folder of the last one; or None.

        Parameters
        ----------
        slide : Slide
            Read for its fingerprint.
        model : str
            Name of the model that computed it.
        downsample : float
            Of the model's input.
        """
        key = _output_key(slide, model, downsample)
        with self._lock:
            self._load()
            last = next(reversed(self._outputs.values()), None)
            return self._outputs.get(key), None if last is None else last.parent

    def note_output(self, slide: Slide, model: str, downsample: float, place: Path) -> None:
        """Remember where a slide is written to as a whole, so that it can be resumed."""
        key = _output_key(slide, model, downsample)
        with self._lock:
            self._load()
            self._outputs.pop(key, None)
            self._outputs[key] = place.absolute()
            self._save()

    def _take(self, content: Any) -> None:
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        recent, sizes, folder = (content.get(name) for name in ("recent", "mpp", "folder"))
        outputs = content.get("outputs")
        self._outputs = {
            key: Path(value)
            for key, value in (outputs.items() if isinstance(outputs, dict) else ())
            if isinstance(value, str)
        }
        self._recent = [Path(one) for one in recent or [] if isinstance(one, str)]
        self._folder = Path(folder) if isinstance(folder, str) else None
        self._sizes = {
            key: float(value)
            for key, value in (sizes.items() if isinstance(sizes, dict) else ())
            if isinstance(value, int | float) and FINEST_MPP <= value <= COARSEST_MPP
        }

    def _save(self) -> None:
        content = {
            "recent": [str(path) for path in self._recent],
            "folder": None if self._folder is None else str(self._folder),
            "mpp": dict(list(self._sizes.items())[-_MOST_SIZES:]),
            "outputs": {
                key: str(place) for key, place in list(self._outputs.items())[-_MOST_OUTPUTS:]
            },
        }
        path = memory_path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as partial:
                partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
        except (OSError, CwtnetError) as error:
            logging.getLogger(__name__).warning("what is known of slides is not kept: %s", error)


def _output_key(slide: Slide, model: str, downsample: float) -> str:
    return f"{slide.fingerprint} {downsample:g} {model}"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


SLIDES = SlideMemory()
"""That of the process."""


def open_remembered(
    path: Path, mpp: float | None = None, icc: bool = True, image: int | None = None
) -> Slide:
    """Open a slide, with the pixel size that the user once set of it; not in the window's thread.

    Raises
    ------
    SlideError
        If it cannot be opened.
    RequestError
        If ``mpp`` is no pixel size of a slide, or there is no such image.
    """
    slide = open_slide(path, mpp=mpp, icc=icc, image=image)
    known = None if mpp is not None else SLIDES.mpp_of(slide)
    if known is None:
        return slide
    slide.close()
    return open_slide(path, mpp=known, icc=icc, image=image)
