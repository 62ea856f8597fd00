"""Measurements on data that training never saw."""

from napari_cwtnet.evaluation.images import Evaluation, evaluate_images, image_files

__all__ = ["Evaluation", "evaluate_images", "image_files"]
