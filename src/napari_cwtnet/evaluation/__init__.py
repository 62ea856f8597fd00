"""Measurements on data that training never saw."""

from napari_cwtnet.evaluation.images import Evaluation, chosen_images, evaluate_images

__all__ = ["Evaluation", "chosen_images", "evaluate_images"]
