"""Computed images on disk, each saying that it is computed."""

from napari_cwtnet.export.image import check_output, save_image
from napari_cwtnet.export.panels import labelled, magnified_centre, side_by_side

__all__ = ["check_output", "labelled", "magnified_centre", "save_image", "side_by_side"]
