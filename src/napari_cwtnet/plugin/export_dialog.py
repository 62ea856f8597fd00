"""Asking where a file is to go, or which one to read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

_BARE = "PNG, pixels only (*.png)"
_KINDS = {
    "OME-TIFF, a pyramid (*.ome.tif)": "ome.tif",
    "OME-Zarr, a folder of chunks (*.ome.zarr)": "ome.zarr",
    "PNG, a picture with the badge on it (*.png)": "png",
    _BARE: "png",
}
_GEOJSON = "GeoJSON, as QuPath writes it (*.geojson *.json)"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a result is to go."""

    path: Path
    badge_on_pixels: bool


def ask_for_target(parent: QWidget | None, suggestion: Path) -> Target | None:
    """Ask for name and kind of an export; None if the user thinks better of it."""
    dialog = QFileDialog(parent, "Export the result", str(suggestion.parent))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setNameFilters(list(_KINDS))
    dialog.setDefaultSuffix("ome.tif")

    def rename(kind: str) -> None:
        dialog.setDefaultSuffix(_KINDS[kind])
        dialog.selectFile(renamed(Path(dialog.selectedFiles()[0]).name, kind))

    dialog.filterSelected.connect(rename)
    dialog.selectFile(suggestion.name)
    if not dialog.exec():
        return None
    return target(Path(dialog.selectedFiles()[0]), dialog.selectedNameFilter())


def renamed(name: str, kind: str) -> str:
    """A file name with the ending of another kind.

    >>> renamed("a.ome.tif", "PNG, pixels only (*.png)")
    'a.png'
    """
    for ending in (".ome.tif", ".ome.tiff", ".ome.zarr", ".ome.png", ".png"):
        name = name.removesuffix(ending)
    return f"{name}.{_KINDS[kind]}"


def target(path: Path, kind: str) -> Target:
    """Where a name and the chosen kind lead: the ending decides, the kind about the badge.

    >>> target(Path("a.ome.tif"), "PNG, pixels only (*.png)").badge_on_pixels
    False
    """
    picture = path.name.lower().endswith(".png")
    return Target(path, badge_on_pixels=picture and kind != _BARE)


def ask_for_rois(parent: QWidget | None, folder: Path, *, save: bool) -> Path | None:
    """Ask for a GeoJSON file; None if the user thinks better of it."""
    dialog = QFileDialog(parent, "Export ROIs" if save else "Import ROIs", str(folder))
    if save:
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("geojson")
    else:
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilters([_GEOJSON])
    return Path(dialog.selectedFiles()[0]) if dialog.exec() else None
