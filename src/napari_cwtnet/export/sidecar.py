"""The record beside an image file: what it is, where it comes from, and what made it."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_cwtnet.files import written_whole

_PACKAGES = ("napari-cwtnet", "torch", "numpy", "pillow", "tifffile", "zarr", "openslide-python")


def sidecar_path(path: Path) -> Path:
    """``out.png.json`` for ``out.png``: two exports of one name do not share it."""
    return path.with_name(f"{path.name}.json")


def is_sidecar(path: Path) -> bool:
    """Whether a file is such a record, which may be replaced by a newer one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.keys() >= {"badge_on_pixels", "versions"}


def write_sidecar(
    path: Path,
    provenance: Mapping[str, Any],
    size: tuple[int, int],
    *,
    badge_on_pixels: bool = False,
    figures: Mapping[str, Any] | None = None,
) -> None:
    """Write the record of the image at ``path``.

    Parameters
    ----------
    path : Path
        The image; its name is not in the record, for names of files tell of patients.
    provenance : mapping
        JSON values, as in the image itself.
    size : (width, height)
        Of the image, in pixels.
    badge_on_pixels : bool
        Whether some pixels are the badge's.
    figures : mapping, optional
        PSNR and SSIM against the slide, by name.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    record = {
        **provenance,
        "quality": None if figures is None else {k: _finite(v) for k, v in figures.items()},
        "output_size": list(size),
        "badge_on_pixels": badge_on_pixels,
        "versions": {"python": platform.python_version(), **_versions()},
    }
    with written_whole(sidecar_path(path)) as partial:
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        partial.write_text(f"{text}\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    """JSON has no infinity: the PSNR of equal images becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a source tree
            continue
    return found
