"""Reproduction of the paper's tables: train, test, and write beside the paper's figures."""

from napari_cwtnet.evaluation.reproduce.driver import TABLES, Driver, TablePlan
from napari_cwtnet.evaluation.reproduce.experiment import read_budget
from napari_cwtnet.evaluation.reproduce.report import write_page
from napari_cwtnet.evaluation.reproduce.table6 import judge_methods

__all__ = ["TABLES", "Driver", "TablePlan", "judge_methods", "read_budget", "write_page"]
