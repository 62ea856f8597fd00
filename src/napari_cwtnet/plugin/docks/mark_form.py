"""Whether to mark what not to rely on in the result, and what the mark promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_cwtnet.plugin.docks.widgets import words_label
from napari_cwtnet.plugin.viewer.result_mark import ResultMark

_TIP = (
    "Tint and outline the parts of the result that are likely to be wrong. The first time on a "
    "slide, the model enhances a dozen of its fields and compares them with the truth, which takes "
    "some seconds"
)


class MarkForm(QWidget):
    """The promise of a mark, and the box to tick for it, which may lie elsewhere.

    Parameters
    ----------
    viewer : Viewer
        Where results are.
    meant : callable
        The layer of the result that is meant, or None.
    """

    def __init__(self, viewer: Any, meant: Callable[[], Any]) -> None:
        super().__init__()
        self.mark, self._meant = ResultMark(viewer, self), meant
        self.box = QCheckBox("Mark what not to rely on")
        self.box.setToolTip(_TIP)
        self._words = words_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._words)
        self.box.toggled.connect(lambda wanted: self.mark.want(wanted, self._meant()))
        self.mark.changed.connect(self._show)
        self._show()

    @property
    def words(self) -> str:
        """The promise, or what is at work, as shown."""
        return str(self._words.text())

    @property
    def busy(self) -> bool:
        """Whether a slide is being calibrated, or a result marked."""
        return self.mark.runner.busy

    def refresh(self) -> None:
        """Follow a result that has new pixels, or another result."""
        self.mark.follow(self._meant())

    def stop(self) -> None:
        """Mark nothing from now on."""
        self.box.setChecked(False)

    def _show(self) -> None:
        self._words.setText(self.mark.words)
        self._words.setVisible(bool(self.mark.words))
