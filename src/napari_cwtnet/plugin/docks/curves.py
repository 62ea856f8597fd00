"""Loss and validation PSNR as they come, with the start model and bicubic as lines."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cwtnet.plugin.tasks.finetune_history import History, cross_scale, main_figures

_LOSS, _PSNR, _START, _BICUBIC = "#5aa9e6", "#f2a33a", "#7bc47f", "#b98fd9"
_AXIS_WIDTH = 46
_LEAST_WIDTH, _HEIGHT = 200, 215


class Curves(pg.GraphicsLayoutWidget):
    """Two plots over the same steps.

    Nothing in it takes the mouse, so that the dock scrolls where it lies.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._history: History | None = None
        self._version: tuple[int, ...] = ()
        self.setFixedHeight(_HEIGHT)
        self.setMinimumWidth(_LEAST_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.ci.setContentsMargins(2, 2, 8, 2)
        self.ci.setSpacing(2)
        self.loss_plot = self._plot(0, "Loss")
        self.psnr_plot = self._plot(1, "PSNR (dB)")
        self.loss_plot.getAxis("bottom").setStyle(showValues=False)
        self.psnr_plot.setLabel("bottom", "Training step")
        self.psnr_plot.setXLink(self.loss_plot)
        self.ci.layout.setRowStretchFactor(0, 2)
        self.ci.layout.setRowStretchFactor(1, 3)
        self.loss = self.loss_plot.plot(pen=pg.mkPen(_LOSS, width=1.5))
        self.psnr = self.psnr_plot.plot(
            pen=pg.mkPen(_PSNR, width=1.5), symbol="o", symbolSize=5, symbolPen=None,
            symbolBrush=_PSNR,
        )  # fmt: skip
        self.best = self.psnr_plot.plot(
            pen=None, symbol="o", symbolSize=11, symbolPen=pg.mkPen(_PSNR, width=1.5),
            symbolBrush=None,
        )  # fmt: skip
        self.start_line = self._line(_START, below=True)  # the curve begins on it, and rises
        self.bicubic_line = self._line(_BICUBIC)
        self.set_colours("#262930", "#f0f1f2")

    def set_colours(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self.setBackground(background)
        grey = QColor(text)
        grey.setAlpha(170)
        for plot in (self.loss_plot, self.psnr_plot):
            for name in ("left", "bottom"):
                axis = plot.getAxis(name)
                axis.setPen(pg.mkPen(grey, width=1))
                axis.setTextPen(pg.mkPen(text))
                axis.label.setDefaultTextColor(QColor(text))

    def show_history(self, history: History) -> None:
        """Draw what has been measured, if anything is new."""
        version = history.version
        if not self.isVisible() or (history is self._history and version == self._version):
            return
        self._history, self._version = history, version
        steps, losses = history.losses()
        self.loss.setData(steps, losses)
        validations = history.validations[:]
        figures = np.array([main_figures(one) for one in validations]).reshape(-1, 2)
        at = np.array([one.step for one in validations], float)
        self.psnr.setData(at, figures[:, 0])
        last = max(float(at.max(initial=1.0)), float(steps.max(initial=1.0)))
        self.loss_plot.setXRange(0, last, padding=0.03)
        best, start = history.best, history.start
        self.best.setData([best.step] if best else [], [main_figures(best)[0]] if best else [])
        for line in (self.start_line, self.bicubic_line):
            line.setVisible(start is not None)
        if start is None:
            return
        before, bicubic = main_figures(start)
        self._show_line(self.start_line, before, f"start model {before:.2f}")
        paired = cross_scale(start) is not None
        of_what = "bicubic of the reference" if paired else "bicubic"
        self._show_line(self.bicubic_line, bicubic, f"{of_what} {bicubic:.2f}")
        self.psnr_plot.setLabel("left", "Cross-scale PSNR (dB)" if paired else "PSNR (dB)")
        drawn = np.array([*figures[:, 0], bicubic])
        drawn = drawn[np.isfinite(drawn)]
        if drawn.size:
            self.psnr_plot.setYRange(drawn.min(), drawn.max(), padding=0.1)

    def _plot(self, row: int, label: str) -> pg.PlotItem:
        plot = self.addPlot(row=row, col=0)
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(False, False)
        plot.hideButtons()
        plot.setLabel("left", label)
        axis = plot.getAxis("left")
        axis.setWidth(_AXIS_WIDTH)
        axis.enableAutoSIPrefix(False)
        plot.getAxis("bottom").enableAutoSIPrefix(False)
        plot.showGrid(x=True, y=True, alpha=0.12)
        return plot

    def _line(self, colour: str, *, below: bool = False) -> pg.InfiniteLine:
        corner = (1, 0) if below else (1, 1)
        line = pg.InfiniteLine(
            angle=0,
            pen=pg.mkPen(colour, width=1.2, style=Qt.PenStyle.DashLine),
            label="",
            labelOpts={"position": 0.98, "anchors": [corner, corner], "color": colour},
        )
        line.setVisible(False)
        self.psnr_plot.addItem(line, ignoreBounds=True)
        return line

    @staticmethod
    def _show_line(line: pg.InfiniteLine, value: float, words: str) -> None:
        line.setValue(value)
        line.label.setFormat(words)
