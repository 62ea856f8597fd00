"""Interactive super-resolution of whole-slide pathology images with CWT-Net.

The public face is lazy: importing the package loads neither torch nor napari.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_cwtnet.enhancement import enhance
    from napari_cwtnet.errors import CwtnetError
    from napari_cwtnet.model import load_model
    from napari_cwtnet.slides import open_slide

    __version__: str

__all__ = ["CwtnetError", "__version__", "enhance", "load_model", "open_slide"]

_HOME = {
    "CwtnetError": "napari_cwtnet.errors",
    "enhance": "napari_cwtnet.enhancement",
    "load_model": "napari_cwtnet.model",
    "open_slide": "napari_cwtnet.slides",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def _version() -> str:
    from importlib import metadata  # takes longer to import than all of this package

    try:
        return metadata.version("napari-cwtnet")
    except metadata.PackageNotFoundError:  # a clone on the path, not installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted(__all__)
