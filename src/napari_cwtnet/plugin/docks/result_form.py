"""What can be done with a result: write it, draw a figure, copy its command; ROIs and files."""

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
from napari_cwtnet.plugin.docks.widgets import (
    copy,
    enable,
    show_progress,
    thin_bar,
    words_label,
)
from napari_cwtnet.plugin.tasks.runner import in_background
from napari_cwtnet.plugin.viewer.canvas import real_viewer
from napari_cwtnet.plugin.viewer.command_line import command_line, enhance_words
from napari_cwtnet.plugin.viewer.export import Exporter, exportable, roi_results, suggested_name
from napari_cwtnet.plugin.viewer.pictures import figure_of, snapshot_of
from napari_cwtnet.plugin.viewer.result_layer import KEPT
from napari_cwtnet.plugin.viewer.result_mark import is_calibrated
from napari_cwtnet.plugin.viewer.rois import keep_outlines, rois_of, shapes_layer
from napari_cwtnet.plugin.viewer.selection import (
    Source,
    source_layer_in,
    source_of,
)
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.whole_slide import without_dicom

_BARE = "PNG, pixels only (*.png)"
_DICOM = "DICOM, a folder for archives (*.dicom)"
_KINDS = {
    "OME-TIFF, a pyramid (*.ome.tif)": "ome.tif",
    "OME-Zarr, a folder of chunks (*.ome.zarr)": "ome.zarr",
    _DICOM: "dicom",
    "PNG, a picture with the badge on it (*.png)": "png",
    _BARE: "png",
}
_FIGURES = [("PNG, a picture (*.png)", "png"), ("PDF, a page to print (*.pdf)", "pdf")]
_LINE = 22
"""Pixels that are kept for a word on what is being written."""
_NO_RESULT = "There is no result to keep; enhance the view or an ROI first."
_KEPT = "This layer is kept already: no run replaces it."
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
    dialog.setNameFilters([kind for kind in _KINDS if kind != _DICOM or not without_dicom()])
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
    >>> renamed("a.ome.dicom", "DICOM, a folder for archives (*.dicom)")  # made so by Qt
    'a.dicom'
    """
    for ending in (".ome.tif", ".ome.tiff", ".ome.zarr", ".png", ".dicom", ".ome"):
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


def ask_for_picture(parent: QWidget | None, what: str, suggestion: Path) -> Path | None:
    """Ask for the name of a figure or snapshot; None if cancelled."""
    kinds = _FIGURES if suggestion.suffix == ".pdf" or what == "Figure" else _FIGURES[:1]
    dialog = QFileDialog(parent, f"Save the {what.lower()}", str(suggestion.parent))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setNameFilters([words for words, _ in kinds])
    endings = dict(kinds)

    def rename(kind: str) -> None:
        dialog.setDefaultSuffix(endings[kind])
        dialog.selectFile(str(Path(dialog.selectedFiles()[0]).with_suffix(f".{endings[kind]}")))

    dialog.filterSelected.connect(rename)
    dialog.setDefaultSuffix("png")
    dialog.selectFile(suggestion.name)
    return Path(dialog.selectedFiles()[0]) if dialog.exec() else None


_TIPS = {
    "export": "Write the shown result: OME-TIFF, OME-Zarr or DICOM to measure on, PNG to look at",
    "figure": "Before, after and, where the slide has it, the truth, with a scale bar and a "
    "caption, as PNG or PDF: the part of the shown result that is in view",
    "snapshot": "Save what the canvas shows, with its scale bar and the mark of what is computed",
    "copy": "Copy the command line that makes the shown result, or the view if there is none",
    "keep": "Leave the shown result as it is; the next run makes a layer of its own",
    "rois": "Regions of interest to and from GeoJSON, as QuPath has it",
}


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
        self._drawing = False
        self.exporter = Exporter(self)
        self.export_button = QPushButton("Export…")
        self.figure_button = QPushButton("Figure…")
        self.snapshot_button = QPushButton("Snapshot…")
        self.copy_button = QPushButton("Copy as command")
        self.keep_button = QPushButton("Keep layer")
        self.rois_button = QPushButton("ROIs")
        menu = QMenu(self.rois_button)
        menu.setToolTipsVisible(True)
        self.import_action = menu.addAction("Import ROIs…")
        self.export_action = menu.addAction("Export ROIs…")
        self.results_action = menu.addAction("Export results of ROIs…")
        menu.aboutToShow.connect(self._show_rois)
        self.rois_button.setMenu(menu)
        self._bar, self._words = thin_bar(keep_place=True), words_label()
        self._words.setFixedHeight(_LINE)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(QLabel("<b>Keep the result</b>"), 0, 0, 1, 2)
        for number, button in enumerate(self._buttons.values()):
            grid.addWidget(button, 1 + number // 2, number % 2)
        grid.setHorizontalSpacing(4)
        for column in (0, 1):
            grid.setColumnStretch(column, 1)
        grid.addWidget(self._bar, 4, 0, 1, 2)
        grid.addWidget(self._words, 5, 0, 1, 2)
        self.keep_button.clicked.connect(lambda _: self.keep())
        self.export_button.clicked.connect(lambda _: self._ask_and_export())
        self.figure_button.clicked.connect(lambda _: self._ask_and_draw())
        self.snapshot_button.clicked.connect(lambda _: self._ask_and_shoot())
        self.copy_button.clicked.connect(lambda _: self.copy_command())
        self.import_action.triggered.connect(lambda _: self._ask_and_import())
        self.results_action.triggered.connect(lambda _: self._ask_and_export_results())
        self.export_action.triggered.connect(lambda _: self._ask_and_export_rois())
        self.exporter.changed.connect(self.refresh)
        self.refresh()

    @property
    def _buttons(self) -> dict[str, QPushButton]:
        return {
            "export": self.export_button,
            "figure": self.figure_button,
            "snapshot": self.snapshot_button,
            "copy": self.copy_button,
            "keep": self.keep_button,
            "rois": self.rois_button,
        }

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now, and say of the rest why it cannot."""
        layer, busy = self._meant(), self.exporter.busy
        whole = _trouble(lambda: exportable(layer))
        slide = source_layer_in(self._viewer) is not None
        source = source_of(layer)
        writing = "Wait until the file is written." if busy else ""
        hindrances = {
            "export": writing or whole,
            "figure": "Wait until the figure is drawn." if self._drawing else whole,
            "snapshot": "" if len(self._viewer.layers) else "There is nothing to see yet.",
            "copy": "" if slide or source is not None else "Open a slide first.",
            "keep": _NO_RESULT if source is None else _KEPT if KEPT in layer.name else "",
            "rois": "" if slide else "Open a slide first.",
        }
        for name, button in self._buttons.items():
            missing = without_dicom() if name == "export" else ""
            tip = "\n".join(filter(None, (_TIPS[name], missing)))
            enable(button, not hindrances[name], hindrances[name] or tip)
        self._bar.setVisible(busy)
        self._words.setText("Writing…" if busy else "Drawing…" if self._drawing else "")
        show_progress(self._bar, *self.exporter.progress)

    def _show_rois(self) -> None:
        slide = source_layer_in(self._viewer)
        hindrance = _trouble(lambda: rois_of(self._viewer, slide)) if slide is not None else ""
        self.export_action.setEnabled(slide is not None and not hindrance)
        self.export_action.setToolTip(hindrance or "Write the shown shapes as annotations")
        none = _trouble(lambda: roi_results(self._viewer))
        self.results_action.setEnabled(not none and not self.exporter.busy)
        self.results_action.setToolTip(
            none or "Write the results of all ROIs made alike into an empty folder, with a list"
        )
        self.import_action.setToolTip("Show a file's annotations over the slide")

    def keep(self) -> None:
        """Leave the shown result as it is, whatever is enhanced next."""
        self._tell(lambda: self._keep(self._meant()))
        self.refresh()

    def export_to(self, path: Path, *, badge_on_pixels: bool = False) -> None:
        """Write the shown result; an error is shown in one line."""
        self._export(self._meant(), path, badge_on_pixels=badge_on_pixels)

    def _export(self, layer: Any, path: Path, *, badge_on_pixels: bool) -> None:
        self._tell(lambda: self.exporter.start(layer, path, badge_on_pixels=badge_on_pixels))

    def export_results(self, folder: Path) -> None:
        """Write the results of ROIs into an empty folder; an error is shown in one line."""
        self._tell(lambda: self.exporter.start_rois(roi_results(self._viewer), folder))

    def figure_to(self, path: Path) -> None:
        """Draw before, after and truth of the part that is in view; an error is one line."""
        layer = self._meant()
        found = self._tell(lambda: figure_of(real_viewer(self._viewer), layer, path))
        if found is None:
            return
        self._drawing = True
        self.refresh()

        def end() -> None:
            if isalive(self):
                self._drawing = False
                self.refresh()

        in_background(found, lambda _: show_info(f"Written: {path.name}"), at_the_end=end)

    def snapshot_to(self, path: Path) -> None:
        """Save what the canvas shows, with its scale bar; an error is shown in one line."""
        write = snapshot_of(real_viewer(self._viewer), path)
        in_background(write, lambda _: show_info(f"Written: {path.name}"))

    def copy_command(self) -> str | None:
        """Put the command line of the shown result on the clipboard; gives it."""
        layer = self._meant()
        source = source_of(layer) or self._tell(self._view_source)
        if source is None:
            return None
        line = command_line(enhance_words(source, trust=is_calibrated(layer)))
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
            show_info(f"Written: {path.name}, {_regions(len(rois))}")

        self._tell(write)

    def _add(self, rois: list[Roi], slide_layer: Any, name: str) -> None:
        shapes = shapes_layer(rois, slide_layer, name)
        self._viewer.add_layer(shapes)
        keep_outlines(real_viewer(self._viewer), shapes)
        show_info(f"Read: {_regions(len(rois))}")

    def _ask_and_export(self) -> None:
        layer = self._meant()  # another may be meant once the dialog is closed
        found = self._tell(lambda: exportable(layer))
        if found is not None:
            answer = ask_for_target(self, self._folder / suggested_name(found[0]))
            if answer is not None:
                self._folder = answer.path.parent
                self._export(layer, answer.path, badge_on_pixels=answer.badge_on_pixels)

    def _ask_and_draw(self) -> None:
        layer = self._meant()
        found = self._tell(lambda: exportable(layer))
        if found is None:
            return
        name = suggested_name(found[0]).removesuffix(".ome.tif")
        path = ask_for_picture(self, "Figure", self._folder / f"{name}-figure.png")
        if path is not None:
            self._folder = path.parent
            self.figure_to(path)

    def _ask_and_shoot(self) -> None:
        path = ask_for_picture(self, "Snapshot", self._folder / "snapshot.png")
        if path is not None:
            self._folder = path.parent
            self.snapshot_to(path)

    def _ask_and_import(self) -> None:
        path = ask_for_rois(self, self._rois_folder(), save=False)
        if path is not None:
            self.import_rois(path)

    def _ask_and_export_rois(self) -> None:
        path = ask_for_rois(self, self._rois_folder(), save=True)
        if path is not None:
            self.export_rois(path)

    def _ask_and_export_results(self) -> None:
        title = "Export results of ROIs into an empty folder"
        folder = QFileDialog.getExistingDirectory(self, title, str(self._folder))
        if folder:
            self._folder = Path(folder)
            self.export_results(self._folder)

    def _rois_folder(self) -> Path:
        slide = slide_of(source_layer_in(self._viewer))
        return self._folder if slide is None else slide.path.parent

    def _tell(self, work: Callable[[], Any]) -> Any:
        """What ``work`` gives; None, and its message shown, where it cannot be done."""
        try:
            return work()
        except CwtnetError as error:
            show_error(str(error))
            return None


def _trouble(work: Callable[[], Any]) -> str:
    """Why something cannot be done; empty where it can."""
    try:
        work()
    except CwtnetError as error:
        return str(error)
    return ""


def _regions(count: int) -> str:
    return "1 region" if count == 1 else f"{count:,} regions"
