"""`open_slide`: which reader a file gets."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import openslide

from napari_cwtnet.errors import CwtnetError, SlideError
from napari_cwtnet.slides.backend import SHARED_CACHE, Backend, TileCache, chosen_image
from napari_cwtnet.slides.backends.dicom_frames import dicom_series
from napari_cwtnet.slides.backends.image import ImageBackend
from napari_cwtnet.slides.backends.openslide import OpenSlideBackend
from napari_cwtnet.slides.backends.tiff import TiffBackend
from napari_cwtnet.slides.backends.zarr import ZarrBackend, is_zarr
from napari_cwtnet.slides.orientation import TurnedBackend
from napari_cwtnet.slides.resolution import user_resolution
from napari_cwtnet.slides.slide import Slide

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GENERIC = "generic-tiff"
_OVERVIEWS = {
    ".mrxs": "the folder {stem!r} with Slidedat.ini that belongs to it is missing",
    ".vsi": "the slide itself is in the folder '_{stem}_', in a format that cannot be read",
}
"""Files that hold a picture of the glass alone, by suffix, and where the slide is."""


def open_slide(
    path: str | os.PathLike[str],
    mpp: float | None = None,
    icc: bool = True,
    cache: TileCache = SHARED_CACHE,
    image: int | None = None,
) -> Slide:
    """Open a slide or image.

    Parameters
    ----------
    path : path-like
        A whole-slide file of any format that OpenSlide reads (of DICOM, any one file of the
        slide, or the folder that holds it), a TIFF or OME-TIFF, pyramidal or not, the folder or
        zip file of an OME-Zarr, or a PNG, JPEG, BMP or WebP image.
    mpp : float, optional
        Pixel size at level 0 in µm per pixel, 0.05 to 20, instead of what the file says.
    icc : bool
        Whether an embedded ICC profile is applied, so that pixels are sRGB.
    cache : TileCache
        Where decoded tiles are kept; that of the process, unless another is given.
    image : int, optional
        Which image of a file that holds several (`Slide.images`), from 0; if left out, the one that
        is most likely the slide.

    Returns
    -------
    Slide
        Open until its `close`; also a context manager.

    Raises
    ------
    SlideError
        If the file is missing, of no known format, of a kind that cannot be shown, or broken.
    RequestError
        If ``mpp`` is not a pixel size of a slide, or there is no such image.
    """
    if mpp is not None:
        user_resolution(mpp)
    path = Path(path)
    backend = _backend(path, image)
    try:
        # Some broken files open well and fail at their first tile: better told now.
        backend.read_tile(len(backend.levels) - 1, 0, 0)
        return Slide(path, backend, mpp, icc, cache)
    except CwtnetError:
        backend.close()
        raise


def _backend(path: Path, image: int | None) -> Backend:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            next(path.iterdir(), None)
            if is_zarr(path):
                return ZarrBackend(path, image)
            return _of_dicom_folder(path, image)
        # A pipe or a device would be waited for, and cannot be read twice.
        if not stat.S_ISREG(mode):
            raise SlideError(f"Slide {str(path)!r} is not a file; copy it into one and open that.")
        with path.open("rb") as file:
            start = file.read(4)
        vendor = openslide.OpenSlide.detect_format(path)
    except (FileNotFoundError, NotADirectoryError):
        raise SlideError(f"Slide {str(path)!r} does not exist; check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise SlideError(
            f"Slide {str(path)!r} cannot be opened: {reason}; check its path and permissions."
        ) from error
    if not start:
        raise SlideError(f"Slide {str(path)!r} is an empty file; copy it again from its source.")
    # OpenSlide takes an OME-TIFF with SubIFDs for a single level without a pixel size.
    if vendor is not None and vendor != _GENERIC:
        chosen_image(path.name, image, 1)
        return OpenSlideBackend(path)
    overview = _OVERVIEWS.get(path.suffix.lower())
    if overview is not None:
        raise SlideError(
            f"Slide {str(path)!r} holds only an overview picture: "
            f"{overview.format(stem=path.stem)}; put them side by side, or export the slide as "
            "OME-TIFF."
        )
    if is_zarr(path):
        return ZarrBackend(path, image)
    if start not in _TIFF_STARTS:
        chosen_image(path.name, image, 1)
        return _upright(ImageBackend(path))
    return _upright(TiffBackend(path, image))


def _of_dicom_folder(folder: Path, image: int | None) -> Backend:
    """A slide of a folder in which DICOM files lie, as they come from an archive."""
    series = dicom_series(folder)
    if not series:
        raise SlideError(f"Slide {str(folder)!r} is a folder; give a slide file inside it.")
    number = chosen_image(folder.name, image, len(series))
    backend = OpenSlideBackend(list(series.values())[number])
    backend.images, backend.image = tuple(f"series {uid}" for uid in series), number
    return backend


def _upright(backend: TiffBackend | ImageBackend) -> Backend:
    turned = backend.orientation != 1
    return TurnedBackend(backend, backend.orientation) if turned else backend


def slide_stem(path: Path) -> str:
    """The name of a slide without the ending of its format, by which results are named.

    >>> slide_stem(Path("CMU-1.ome.tif")), slide_stem(Path("CMU-1.svs"))
    ('CMU-1', 'CMU-1')
    """
    name, endings = path.name, [".ome.tiff", ".ome.tif", ".ome.zarr", ".zarr", ".dicom"]
    if not path.is_dir():  # a folder of DICOM files is often named by a UID, 1.2.840.1
        endings.append(path.suffix)
    for ending in endings:
        if ending and name.lower().endswith(ending.lower()):
            return name[: -len(ending)]
    return name
