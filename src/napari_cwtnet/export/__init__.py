"""Computed images on disk, each saying that it is computed; regions of interest to and fro."""

from napari_cwtnet.export.geojson import Roi, read_rois, write_rois
from napari_cwtnet.export.save import (
    check_badge,
    check_mark,
    check_output,
    export_image,
    labelled,
    magnified_centre,
    save_image,
    save_mark,
    side_by_side,
)

__all__ = [
    "Roi",
    "check_badge",
    "check_mark",
    "check_output",
    "export_image",
    "labelled",
    "magnified_centre",
    "read_rois",
    "save_image",
    "save_mark",
    "side_by_side",
    "write_rois",
]
