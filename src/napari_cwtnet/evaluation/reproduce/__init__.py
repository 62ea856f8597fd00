"""The paper's tables, run again: trained, tested and written beside the paper's figures."""

from napari_cwtnet.evaluation.reproduce.budget import read_budget
from napari_cwtnet.evaluation.reproduce.classification.table import judge_methods
from napari_cwtnet.evaluation.reproduce.driver import TABLES, Driver, Plan
from napari_cwtnet.evaluation.reproduce.page import write_page

__all__ = ["TABLES", "Driver", "Plan", "judge_methods", "read_budget", "write_page"]
