"""The paper's figures, and what defines a table: rows, budgets and runs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from napari_cwtnet.errors import RequestError
from napari_cwtnet.training.recipe import Recipe


class PaperFigures(NamedTuple):
    """PSNR in dB, and SSIM; None where the paper prints none."""

    psnr: float
    ssim: float | None


def _row(*values: float) -> dict[int, PaperFigures]:
    pairs = zip(values[::2], values[1::2], strict=True)
    return {scale: PaperFigures(*pair) for scale, pair in zip((2, 4, 8), pairs, strict=True)}


TABLE_1 = {
    "levels": {
        "bicubic": _row(35.247, 0.9427, 27.019, 0.6659, 22.475, 0.2276),
        "SRCNN": _row(35.522, 0.9427, 27.475, 0.7329, 22.489, 0.3624),
        "SRGAN": _row(35.649, 0.9518, 27.626, 0.7406, 22.946, 0.3590),
        "EDSR": _row(38.190, 0.9677, 27.886, 0.7479, 23.007, 0.4912),
        "RCAN": _row(38.327, 0.9692, 28.339, 0.7887, 23.075, 0.4894),
        "MWCNN": _row(38.800, 0.9722, 28.941, 0.8130, 23.590, 0.5373),
        "SWD-Net": _row(39.228, 0.9719, 29.349, 0.8239, 23.983, 0.5471),
        "CWT-Net": _row(39.333, 0.9797, 29.639, 0.8304, 24.140, 0.5535),
    },
    "bicubic": {
        "bicubic": _row(27.176, 0.6613, 23.694, 0.4814, 20.554, 0.2696),
        "SRCNN": _row(27.477, 0.6620, 23.810, 0.4802, 20.592, 0.2707),
        "SRGAN": _row(27.939, 0.6621, 23.847, 0.4849, 20.001, 0.2681),
        "EDSR": _row(28.145, 0.6650, 24.557, 0.4727, 20.375, 0.2730),
        "RCAN": _row(28.255, 0.6698, 24.639, 0.4750, 20.029, 0.2722),
        "MWCNN": _row(28.458, 0.7443, 24.992, 0.4907, 20.767, 0.2762),
        "SWD-Net": _row(28.586, 0.7602, 25.171, 0.5014, 20.874, 0.2750),
        "CWT-Net": _row(28.972, 0.7783, 25.237, 0.5050, 20.885, 0.2701),
    },
}
"""By how LR was made (real levels: MLCamSR; bicubic: FTMS), method and scale."""

TABLE_2 = {
    "SR branch alone": PaperFigures(39.161, None),
    "+ WT branch and transformer": PaperFigures(39.145, 0.9619),
    "+ DWT": PaperFigures(float("nan"), 0.9683),
    "+ WR: CWT-Net": PaperFigures(39.333, 0.9797),
}
"""MLCamSR ×2. For the third row the text states only that its PSNR is lower again."""

TABLE_3 = {
    "I_GT": PaperFigures(44.035, 0.9933),
    "WR (CWT-Net)": PaperFigures(39.333, 0.9797),
    "I_GT down and up": PaperFigures(39.042, 0.9749),
    "I_LR": PaperFigures(38.670, 0.9680),
}

TABLE_3_LPIPS = {
    "I_GT": (0.00832, 0.01679),
    "WR (CWT-Net)": (0.04091, 0.05131),
    "I_GT down and up": (0.04275, 0.05209),
    "I_LR": (0.06327, 0.07900),
}
"""LPIPS by AlexNet and by VGG, which are not measured here."""

TABLE_4 = {
    "L1 + SSIM, λ = 0.3, 0.7": PaperFigures(39.333, 0.9797),
    "L1 alone": PaperFigures(39.077, 0.9714),
    "MSE alone": PaperFigures(39.030, 0.9647),
    "image loss alone": PaperFigures(38.895, 0.9699),
    "WT loss alone": PaperFigures(9.947, 0.0658),
    "λ = 0.7, 0.3": PaperFigures(39.286, 0.9797),
}

TABLE_5 = {
    2: (PaperFigures(39.054, 0.9714), 6.7),
    4: (PaperFigures(39.067, 0.9711), 11.1),
    8: (PaperFigures(39.219, 0.9723), 20.5),
    12: (PaperFigures(39.278, 0.9748), 30.3),
    24: (PaperFigures(39.577, 0.9799), 56.5),
}
"""By the number of CWTBs; the time is the paper's own average, in its own unit."""

TABLE_6 = {
    "original": (91.83, 90.03),
    "bicubic, shrunk": (62.89, 63.22),
    "bicubic": (79.53, 66.40),
    "SRCNN": (77.76, 68.87),
    "SRGAN": (81.04, 70.35),
    "EDSR": (82.72, 74.19),
    "RCAN": (84.31, 79.68),
    "MWCNN": (82.71, 76.42),
    "SWD-Net": (86.47, 80.48),
    "CWT-Net": (88.12, 80.85),
}
"""Accuracy of ResNet-50 in per cent, on MLCamSR's patches and on PCam."""


Degradation = Literal["bicubic", "levels", "scanner"]
"""How LR and reference are made: antialiased bicubic, real levels, or as scanners make them."""

SCANNER = "box+jpeg75-420"
"""LR and reference of the test fields of ``scanner``, as a SPEC."""

SCANNER_MIX: Mapping[str, Any] = {
    "scale_jitter": 0.0,
    "colour_jitter": 0.0,
    "validation": [SCANNER],
}
"""Training degradations of ``scanner``; without jitter, so that only LR and reference differ."""

Test = Literal[
    "bicubic",
    "single-image",
    "cross-scale",
    "oracle",
    "bicubic of the reference",
    "half the scale, on the reference",
]
"""What is compared with the truth; see :func:`~.results.image_of`."""

GIVEN_THE_REFERENCE = frozenset(
    {"cross-scale", "bicubic of the reference", "half the scale, on the reference"}
)
"""Tests that use the next-higher level, comparable only with one another."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table at one scale."""

    name: str
    test: Test
    changes: Mapping[str, Any] | None = None
    """Fields of the recipe that differ from the table's; None for a row without training."""
    paper: PaperFigures | None = None
    note: str = ""

    @property
    def is_oracle(self) -> bool:
        """Whether the network is given the answer."""
        return self.test == "oracle"


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the paper, as reproduced here."""

    key: str
    title: str
    setting: str
    """What all rows share, and what differs from the paper, in words."""
    rows: Callable[[int, Degradation], tuple[Row, ...]]
    """Rows at a scale."""
    base: Mapping[str, Any]
    """Fields of every row's recipe."""
    compared: str
    """The row that every other is compared with."""
    compared_paired: str = ""
    """The same for rows with the next-higher level."""
    side: int = 384
    """Side of a test field, truth pixels."""
    per_image: int = 1
    """Most test fields of one image."""
    perceptual: bool = False
    """Whether to report ST-LPIPS, if installed."""

    @property
    def number(self) -> str:
        """As in the paper: ``Table II``."""
        return self.title.split(":")[0]

    def at_rate(self, learning_rate: float) -> Table:
        """The same table with another peak learning rate for every row."""
        return replace(self, base=dict(self.base) | {"learning_rate": learning_rate})

    def in_dtype(self, dtype: Literal["float32", "bfloat16"]) -> Table:
        """The same table with every network trained in ``dtype``."""
        return replace(self, base=dict(self.base) | {"dtype": dtype})


@dataclass(frozen=True, slots=True)
class Budget:
    """How long every network of a table is trained."""

    steps: int | None = None
    minutes: float | None = None

    def __str__(self) -> str:
        """As on the command line."""
        return f"{self.minutes:g}m" if self.minutes is not None else str(self.steps)

    @property
    def words(self) -> str:
        """``2000 steps``, ``3 min``."""
        return f"{self.minutes:g} min" if self.minutes is not None else f"{self.steps} steps"


@dataclass(frozen=True, slots=True)
class Run:
    """One training: a row at a scale with a seed."""

    recipe: Recipe
    data: str
    """Fingerprint of the pixels."""

    @property
    def hash(self) -> str:
        """Hash of everything that the trained weights depend on."""
        fields = self.recipe.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
        text = json.dumps([fields, self.data], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """Name of its folder; two tables share a run if the training is the same."""
        return f"{self.recipe.name}-{self.hash}"


def read_budget(text: str) -> Budget:
    """A budget from the command line.

    >>> read_budget("2000"), read_budget("1.5m")
    (Budget(steps=2000, minutes=None), Budget(steps=None, minutes=1.5))

    Raises
    ------
    RequestError
        If it is neither a number of steps nor of minutes.
    """
    try:
        if text.endswith("m"):
            minutes = float(text[:-1])
            if math.isfinite(minutes) and minutes > 0:
                return Budget(minutes=minutes)
        elif int(text) > 0:
            return Budget(steps=int(text))
    except ValueError:
        pass
    raise RequestError(
        f"Budget {text!r} is neither steps (2000) nor minutes (3m); give one of the two, above 0."
    )
