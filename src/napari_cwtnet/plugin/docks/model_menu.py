"""The button beside the models: add one from a file, rename or delete one of the user's own."""

from __future__ import annotations

from pathlib import Path

from napari.utils.notifications import show_info
from qtpy.compat import isalive
from qtpy.QtWidgets import QComboBox, QFileDialog, QInputDialog, QMenu, QMessageBox, QToolButton

from napari_cwtnet.plugin.tasks.model_list import MODELS

_WIDTH = 24


class ModelMenuButton(QToolButton):
    """Changes the user's folder of models.

    Parameters
    ----------
    combo : QComboBox
        The models; the chosen one is meant.
    """

    def __init__(self, combo: QComboBox) -> None:
        super().__init__()
        self._combo = combo
        self.setText("…")
        self.setFixedWidth(_WIDTH)
        self.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.setToolTip("Add, rename or delete models")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.add_action = menu.addAction("Add a model…")
        self.add_action.setToolTip("Copy a .safetensors file into your folder of models")
        self.rename_action = menu.addAction("Rename…")
        self.delete_action = menu.addAction("Delete…")
        menu.aboutToShow.connect(self.refresh)
        self.setMenu(menu)
        self.add_action.triggered.connect(lambda _: self._ask_and_add())
        self.rename_action.triggered.connect(lambda _: self._ask_and_rename())
        self.delete_action.triggered.connect(lambda _: self._ask_and_delete())

    def refresh(self) -> None:
        """Enable what can be done with the chosen model, and say of the rest why it cannot."""
        hindrance = MODELS.hindrance(self._combo.currentText())
        for action, tip in (
            (self.rename_action, "Give your model another name"),
            (self.delete_action, "Delete your model's file"),
        ):
            action.setEnabled(not hindrance)
            action.setToolTip(hindrance or tip)

    def add(self, path: Path) -> None:
        """Copy a weights file into the user's folder, and choose it."""
        MODELS.add(path, self._choose)

    def rename(self, wanted: str) -> None:
        """Give the chosen model another name; it stays chosen."""
        MODELS.rename(self._combo.currentText(), wanted, self._choose)

    def delete(self) -> None:
        """Delete the chosen model."""
        MODELS.delete(self._combo.currentText())

    def _choose(self, name: str) -> None:
        if isalive(self):
            self._combo.setCurrentText(name)
        show_info(f"The model is {name} now.")

    def _ask_and_add(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Add a model", str(Path.home()), "Models (*.safetensors)"
        )
        if name:
            self.add(Path(name))

    def _ask_and_rename(self) -> None:
        before = self._combo.currentText()
        name, good = QInputDialog.getText(self, "Rename a model", "Name", text=before)
        if good and name.strip() != before:
            self.rename(name)

    def _ask_and_delete(self) -> None:
        name = self._combo.currentText()
        asked = f"Delete the model {name}? Its file is gone then."
        if QMessageBox.question(self, "Delete a model", asked) == QMessageBox.StandardButton.Yes:
            self.delete()
