"""Measurements on data that training never saw."""

from napari_cwtnet.evaluation.images import Evaluation, chosen_images, evaluate_images
from napari_cwtnet.evaluation.nuclei import Nuclei, NucleiAgreement, compare_nuclei, find_nuclei

__all__ = [
    "Evaluation",
    "Nuclei",
    "NucleiAgreement",
    "chosen_images",
    "compare_nuclei",
    "evaluate_images",
    "find_nuclei",
]
