"""What can be done with a result: write it, copy its command line; regions to and from files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.compat import isalive
from qtpy.QtWidgets import QFileDialog, QGridLayout, QLabel, QMenu, QPushButton, QWidget

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.export import Roi, read_rois, write_rois
from napari_cwtnet.plugin.docks.widgets import copy, show_progress, thin_bar
from napari_cwtnet.plugin.tasks.runner import in_background
from napari_cwtnet.plugin.viewer.command_line import command_line, enhance_words
from napari_cwtnet.plugin.viewer.export import Exporter, exportable, suggested_name
from napari_cwtnet.plugin.viewer.rois import rois_of, shapes_layer
from napari_cwtnet.plugin.viewer.selection import Source, source_layer_in, source_of
from napari_cwtnet.plugin.viewer.slide_layer import slide_of

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
    """Ask for name and kind of an export; None if cancelled."""
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
    """Ask for a GeoJSON file; None if cancelled."""
    dialog = QFileDialog(parent, "Export ROIs" if save else "Import ROIs", str(folder))
    if save:
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("geojson")
    else:
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilters([_GEOJSON])
    return Path(dialog.selectedFiles()[0]) if dialog.exec() else None


class ResultForm(QWidget):
    """Buttons that work on the shown result, and on shapes.

    Parameters
    ----------
    viewer : Viewer
        Where shapes are.
    meant : callable
        The layer of the result that is meant, or None.
    view_source : callable
        How the view would be enhanced now, for a command line before there is a result; raises
        `CwtnetError` where it cannot be.
    keep : callable
        Leaves a result's layer as it is; raises `CwtnetError` where nothing would change it.
    """

    def __init__(
        self,
        viewer: Any,
        meant: Callable[[], Any],
        view_source: Callable[[], Source],
        keep: Callable[[Any], None],
    ) -> None:
        super().__init__()
        self._viewer, self._meant = viewer, meant
        self._view_source, self._keep = view_source, keep
        self._folder = Path.home()
        self.exporter = Exporter(self)
        self.keep_button = QPushButton("Keep layer")
        self.export_button = QPushButton("Export…")
        self.copy_button = QPushButton("Copy as command")
        self.rois_button = QPushButton("ROIs")
        self.keep_button.setToolTip(
            "Leave the shown result as it is; the next run makes a layer of its own"
        )
        self.export_button.setToolTip("Write the shown result: OME-TIFF, OME-Zarr or PNG")
        self.copy_button.setToolTip(
            "Copy the command line that makes the shown result, or the view if there is none"
        )
        self.rois_button.setToolTip("Shapes to and from GeoJSON, as QuPath has it")
        menu = QMenu(self.rois_button)
        self.import_action = menu.addAction("Import ROIs…")
        self.export_action = menu.addAction("Export ROIs…")
        self.rois_button.setMenu(menu)
        self._bar, self._words = thin_bar(), QLabel("Writing…")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(QLabel("<b>Keep the result</b>"), 0, 0, 1, 2)
        grid.addWidget(self.keep_button, 1, 0)
        grid.addWidget(self.export_button, 1, 1)
        grid.addWidget(self.copy_button, 2, 0)
        grid.addWidget(self.rois_button, 2, 1)
        grid.addWidget(self._bar, 3, 0, 1, 2)
        grid.addWidget(self._words, 4, 0, 1, 2)
        self.keep_button.clicked.connect(lambda _: self.keep())
        self.export_button.clicked.connect(lambda _: self._ask_and_export())
        self.copy_button.clicked.connect(lambda _: self.copy_command())
        self.import_action.triggered.connect(lambda _: self._ask_and_import())
        self.export_action.triggered.connect(lambda _: self._ask_and_export_rois())
        self.exporter.changed.connect(self._show)
        self._show()

    def keep(self) -> None:
        """Leave the shown result as it is, whatever is enhanced next."""
        self._tell(lambda: self._keep(self._meant()))

    def export_to(self, path: Path, *, badge_on_pixels: bool = False) -> None:
        """Write the shown result; an error is shown in one line."""
        self._export(self._meant(), path, badge_on_pixels=badge_on_pixels)

    def _export(self, layer: Any, path: Path, *, badge_on_pixels: bool) -> None:
        self._tell(lambda: self.exporter.start(layer, path, badge_on_pixels=badge_on_pixels))

    def copy_command(self) -> str | None:
        """Put the command line of the shown result on the clipboard; gives it."""
        source = source_of(self._meant()) or self._tell(self._view_source)
        if source is None:
            return None
        line = command_line(enhance_words(source))
        copy(line)
        return line

    def import_rois(self, path: Path) -> None:
        """Show the polygons of a GeoJSON file over the slide, once they are read."""
        slide_layer = source_layer_in(self._viewer)
        if slide_layer is None:
            show_error("Open a slide first.")
            return

        def answer(rois: list[Roi]) -> None:
            if isalive(self):  # the dock may be closed meanwhile
                self._tell(lambda: self._add(rois, slide_layer, path.stem))

        slide = slide_of(slide_layer)
        origin = (0, 0) if slide is None else slide.origin
        in_background(lambda: read_rois(path, origin), answer)

    def export_rois(self, path: Path) -> None:
        """Write the shown shapes as GeoJSON."""
        slide_layer = source_layer_in(self._viewer)
        if slide_layer is None:
            show_error("Open a slide first.")
            return

        def write() -> None:
            rois = rois_of(self._viewer, slide_layer)
            slide = slide_of(slide_layer)
            write_rois(path, rois, (0, 0) if slide is None else slide.origin)
            show_info(f"Written: {path.name}, {_polygons(len(rois))}")

        self._tell(write)

    def _add(self, rois: list[Roi], slide_layer: Any, name: str) -> None:
        self._viewer.add_layer(shapes_layer(rois, slide_layer, name))
        holes = sum(bool(roi.holes) for roi in rois)
        note = f"; {holes} with holes, which are not drawn" if holes else ""
        show_info(f"Read: {_polygons(len(rois))}{note}")

    def _ask_and_export(self) -> None:
        layer = self._meant()  # another may be meant once the dialog is closed
        found = self._tell(lambda: exportable(layer))
        if found is not None:
            answer = ask_for_target(self, self._folder / suggested_name(found[1]))
            if answer is not None:
                self._folder = answer.path.parent
                self._export(layer, answer.path, badge_on_pixels=answer.badge_on_pixels)

    def _ask_and_import(self) -> None:
        path = ask_for_rois(self, self._rois_folder(), save=False)
        if path is not None:
            self.import_rois(path)

    def _ask_and_export_rois(self) -> None:
        path = ask_for_rois(self, self._rois_folder(), save=True)
        if path is not None:
            self.export_rois(path)

    def _rois_folder(self) -> Path:
        slide = slide_of(source_layer_in(self._viewer))
        return self._folder if slide is None else slide.path.parent

    def _show(self) -> None:
        busy, (done, total) = self.exporter.busy, self.exporter.progress
        self.export_button.setEnabled(not busy)
        for part in (self._bar, self._words):
            part.setVisible(busy)
        show_progress(self._bar, done, total)

    def _tell(self, work: Callable[[], Any]) -> Any:
        """What ``work`` gives; None, and its message shown, where it cannot be done."""
        try:
            return work()
        except CwtnetError as error:
            show_error(str(error))
            return None


def _polygons(count: int) -> str:
    return "1 polygon" if count == 1 else f"{count:,} polygons"
