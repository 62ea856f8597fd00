"""What the docks share: they follow the view while they can be seen, and end with their window."""

from __future__ import annotations

from typing import Any, ClassVar

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QSize, Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QDockWidget,
    QFrame,
    QLabel,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cwtnet.plugin.docks.live_delay import ViewDebouncer
from napari_cwtnet.plugin.viewer.help_pages import help_url
from napari_cwtnet.plugin.viewer.rois import outline_new_shapes

_WIDTH = 240
"""Least width, pixels: beside napari's layers, half of a window 1280 pixels wide is canvas."""
_MARGIN = 3


class Dock(QWidget):
    """A dock's content in a scroll area; computes nothing while nobody can see it.

    Parameters
    ----------
    viewer : Viewer
        The viewer that the dock belongs to.
    """

    help_page: ClassVar[str] = ""
    """Of the documentation, about the dock."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        outline_new_shapes(viewer)
        self._layer: Any = None
        """Of the slide that the dock is about."""
        self._behind = False
        """Whether the dock came out of date while it was out of sight."""
        self._rest = ViewDebouncer(self)
        self._rest.triggered.connect(self._on_triggered)

    @property
    def in_sight(self) -> bool:
        """Whether the dock can be seen; taken to be so before its window is shown."""
        frame = self._frame()
        window = None if frame is None else frame.parentWidget()
        return window is None or not window.isVisible() or not self.visibleRegion().isEmpty()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As narrow as it can be read, until the user widens it."""
        return QSize(_WIDTH, super().sizeHint().height())

    def show_all(self) -> None:
        """Bring everything that the dock shows up to date."""
        raise NotImplementedError

    def leave(self) -> None:
        """End the work: the dock is taken out of its window, which may go too."""

    def enter(self) -> None:
        """Begin to listen: the dock is in a window."""

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Follow the window that the dock is in."""
        super().changeEvent(event)
        if event.type() != QEvent.Type.ParentChange:
            return
        frame = self._frame()
        if frame is not None:
            frame.visibilityChanged.connect(self._on_visibility)
            for signal in (frame.topLevelChanged, frame.dockLocationChanged):
                # Queued, for napari makes another title bar at these.
                signal.connect(self._shorten_title, Qt.ConnectionType.QueuedConnection)
            self._shorten_title()
        if self.parent() is None:
            self.leave()
        else:
            self.enter()

    def _show_if_seen(self) -> None:
        self._behind = not self.in_sight
        if not self._behind:
            self.show_all()

    def _on_triggered(self) -> None:
        self._show_if_seen()

    def _shorten_title(self, *_: Any) -> None:
        """Tab and title bar have no room for the plugin's name, which napari adds."""
        frame = self._frame() if isalive(self) else None
        if frame is not None:
            name = frame.windowTitle().partition(" (")[0]
            frame.setWindowTitle(name)
            bar = frame.titleBarWidget()
            for label in () if bar is None else bar.findChildren(QLabel):
                label.setText(name)

    def _on_visibility(self, visible: bool) -> None:
        self._shorten_title()
        if visible and self._behind and isalive(self):
            self._behind = False
            self.show_all()

    def _frame(self) -> QDockWidget | None:
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QDockWidget):
            parent = parent.parentWidget()
        return parent

    def _fill(self, content: QWidget) -> None:
        """Show ``content`` at the width that there is, and scroll it where it is too high."""
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = content.layout()
        if inner is not None:
            inner.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        area.setWidget(content)
        area.setSizeAdjustPolicy(QScrollArea.SizeAdjustPolicy.AdjustToContents)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(area)
        layout.addWidget(self._help_button(), alignment=Qt.AlignmentFlag.AlignRight)
        self.setMinimumWidth(_WIDTH)

    def _help_button(self) -> QToolButton:
        button = QToolButton()
        button.setText("Help")
        button.setAutoRaise(True)
        address = help_url(self.help_page)
        button.setToolTip(f"Open the page about this in your browser: {address}")
        button.clicked.connect(lambda _: QDesktopServices.openUrl(QUrl(address)))
        self.help_button = button
        return button
