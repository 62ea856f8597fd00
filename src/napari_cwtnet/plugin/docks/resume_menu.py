"""Runs that have something left to do."""

from __future__ import annotations

import time
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QMenu, QWidget

from napari_cwtnet.training.run_folder import RunFolder, unfinished_runs, user_runs_folder


class ResumeMenu(QMenu):
    """Unfinished runs among the user's, and any other folder.

    Attributes
    ----------
    chosen : Signal(Path)
        Folder of the run to go on with.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Look again for runs."""
        self.clear()
        self.setToolTipsVisible(True)
        runs = unfinished_runs(user_runs_folder())
        for run in runs:
            action = self.addAction(run_words(run))
            action.setToolTip(str(run.path))
            action.triggered.connect(lambda _=False, path=run.path: self.chosen.emit(path))
        if not runs:
            self.addAction("No unfinished run").setEnabled(False)
        self.addSeparator()
        self.addAction("Other folder…").triggered.connect(lambda _=False: self._ask())

    def _ask(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self.parentWidget(), "Folder of a run", str(user_runs_folder())
        )
        if name:
            self.chosen.emit(Path(name))


def run_words(run: RunFolder) -> str:
    """A run in a menu, such as ``"mine · step 120, 40 % · 2026-11-23 10:15"``."""
    touched = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.path.stat().st_mtime))
    return f"{run.path.name} · step {run.step:,}, {run.share:.0%} · {touched}"
