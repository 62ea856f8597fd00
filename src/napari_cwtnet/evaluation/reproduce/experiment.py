"""What a table of the paper is made of: rows, and how each is trained and tested."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from napari_cwtnet.evaluation.reproduce.paper import PaperFigures
from napari_cwtnet.training.recipe import Recipe

Degradation = Literal["bicubic", "levels"]
Test = Literal[
    "bicubic",
    "single-image",
    "cross-scale",
    "oracle",
    "bicubic of the reference",
    "half the scale, on the reference",
]
"""What the truth is compared with; see :func:`~.testing.image_of`."""

GIVEN_THE_REFERENCE = frozenset(
    {"cross-scale", "bicubic of the reference", "half the scale, on the reference"}
)
"""Tests that use the next-higher level, so that they compare with one another only."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table at one scale."""

    name: str
    test: Test
    changes: Mapping[str, Any] | None = None
    """Fields of the recipe that differ from the table's; None where nothing is trained."""
    paper: PaperFigures | None = None
    note: str = ""

    @property
    def is_oracle(self) -> bool:
        """Whether the answer is among what the network is given."""
        return self.test == "oracle"


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the paper, as it is done here."""

    key: str
    title: str
    setting: str
    """What is the same in all rows, and what differs from the paper, in words."""
    rows: Callable[[int, Degradation], tuple[Row, ...]]
    """Of a scale."""
    base: Mapping[str, Any]
    """Fields of every row's recipe."""
    compared: str
    """The row that every other is held against."""
    compared_paired: str = ""
    """The same for rows that are given the next-higher level."""
    side: int = 384
    """Of a test field, truth pixels."""
    per_image: int = 1
    """Most test fields of one image."""
    perceptual: bool = False
    """Whether ST-LPIPS is reported, where it is installed."""

    @property
    def number(self) -> str:
        """As in the paper: ``Table II``."""
        return self.title.split(":")[0]

    def at_rate(self, learning_rate: float) -> Table:
        """The same table with another peak learning rate for every row."""
        return replace(self, base=dict(self.base) | {"learning_rate": learning_rate})


@dataclass(frozen=True, slots=True)
class Budget:
    """How long every network of a table is trained."""

    steps: int | None = None
    minutes: float | None = None

    def __str__(self) -> str:
        """As it is typed."""
        return f"{self.minutes:g}m" if self.minutes is not None else str(self.steps)

    @property
    def words(self) -> str:
        """As it is told: ``2000 steps``, ``3 min``."""
        return f"{self.minutes:g} min" if self.minutes is not None else f"{self.steps} steps"


@dataclass(frozen=True, slots=True)
class Run:
    """One training: a row at a scale with a seed."""

    recipe: Recipe
    data: str
    """Fingerprint of the pixels."""

    @property
    def hash(self) -> str:
        """Of everything that the trained weights depend on."""
        said = self.recipe.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
        text = json.dumps([said, self.data], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """Name of its folder; the same training in two tables is one run."""
        return f"{self.recipe.name}-{self.hash}"
