"""The driver of a table: trains and tests what is missing, and writes after every row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cwtnet import __version__
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import choose_device
from napari_cwtnet.errors import TrainingError
from napari_cwtnet.evaluation.bench import machine
from napari_cwtnet.evaluation.reproduce import methods
from napari_cwtnet.evaluation.reproduce.data import fields_to_test
from napari_cwtnet.evaluation.reproduce.experiment import (
    GIVEN_THE_REFERENCE,
    Budget,
    Degradation,
    Row,
    Run,
    Table,
)
from napari_cwtnet.evaluation.reproduce.pictures import (
    GIVEN,
    RULE,
    SIDE,
    chosen_for_sheets,
    middle,
    save_strip,
)
from napari_cwtnet.evaluation.reproduce.report import (
    ORACLE,
    PICTURES,
    make_folder,
    note_row,
    write_table,
)
from napari_cwtnet.evaluation.reproduce.results import (
    Cell,
    FieldFigures,
    Perceptual,
    available,
    image_name,
    image_of,
    keep,
    kept,
    measured,
)
from napari_cwtnet.evaluation.reproduce.runs import (
    WEIGHTS,
    Place,
    RunRecord,
    Say,
    TableProgress,
    Training,
    plan_run,
    read_record,
    train,
)
from napari_cwtnet.metrics import psnr
from napari_cwtnet.model.base import Network
from napari_cwtnet.model.weights import read_weights
from napari_cwtnet.training.fields import Field

TABLES = {table.key: table for table in (methods.TABLE, *methods.TABLES)}


@dataclass(frozen=True, slots=True)
class TablePlan:
    """The table to reproduce, and how."""

    table: Table
    data: Path
    output: Path
    budget: Budget
    seeds: int = 1
    scales: tuple[int, ...] = (2,)
    degradation: Degradation = "bicubic"

    def rows(self, scale: int) -> tuple[Row, ...]:
        """The table's rows at a scale; the paper has no figures for LR as scanners make it."""
        rows = self.table.rows(scale, self.degradation)
        if self.degradation == "scanner":
            return tuple(replace(row, paper=None) for row in rows)
        return rows


class Driver:
    """Reproduces one table.

    Parameters
    ----------
    plan : TablePlan
        The table to reproduce. Runs in its output folder are not trained again, including those
        of another table or of an interrupted call.
    cancel : CancelToken
        Interrupts the current training, which the next call resumes.
    say : callable
        Called with progress messages.
    """

    def __init__(self, plan: TablePlan, cancel: CancelToken, say: Say) -> None:
        self.plan = plan
        self._cancel = cancel
        self._places = tuple(_places(plan))
        self._say = self.progress(plan.table.number, self._places, say)
        self._fields: dict[int, tuple[list[Field], str]] = {}
        self._runs: dict[tuple[str, int, int], Run] = {}
        self._metrics: list[Perceptual] = available() if plan.table.perceptual else []
        self.cells: list[Cell] = []
        self._broken: list[str] = []

    def run(self) -> list[Cell]:
        """Complete all cells.

        Raises
        ------
        CancelledError
            If ``cancel`` was called; the table's files hold what is done.
        TrainingError
            At the end, if the training of a row failed; the files hold the other rows.
        CwtnetError
            If data, recipe or folder cannot be used.
        """
        plan = self.plan
        for scale in plan.scales:  # check the data before making folders
            self.fields(scale)
        make_folder(plan.output / "tests")
        for number, place in enumerate(self._places):
            self._say.begin(number)
            try:
                self.cells.append(self._cell(place))
            except TrainingError as error:  # the other rows go on
                self._say(str(error))
                self._broken.append(str(place))
            write_table(plan.table, self.cells, self._about(), plan.output)
        if self._broken:
            raise TrainingError(
                f"Training failed for {'; '.join(self._broken)}; all other rows are in "
                f"{plan.output / plan.table.key}.md."
            )
        for scale in plan.scales:
            self._show(scale)
        return self.cells

    def _show(self, scale: int) -> None:
        """Save sheets of a few fields by the networks of the first seed."""
        plan = self.plan
        fields, _ = self.fields(scale)
        folder = plan.output / PICTURES
        make_folder(folder)
        chosen = chosen_for_sheets([field.truth for field in fields])
        rows = plan.rows(scale)
        paired = tuple(row for row in rows if row.test in GIVEN_THE_REFERENCE)
        alone = tuple(row for row in rows if row not in paired)
        for number, index in enumerate(chosen):
            field, name = fields[index], f"{plan.table.key}-x{scale}-{number + 1}"
            given = {"LR": middle(field.lr, SIDE // scale)}
            self._strip(alone, given, field, scale, folder / f"{name}.jpg")
            if paired:  # on a sheet of their own: not comparable with the others
                given["the reference,\nGIVEN to all of these"] = middle(
                    field.reference, 2 * SIDE // scale
                )
                self._strip(paired, given, field, scale, folder / f"{name}{GIVEN}.jpg")

    def _strip(
        self,
        rows: Sequence[Row],
        given: dict[str, NDArray[np.uint8]],
        field: Field,
        scale: int,
        path: Path,
    ) -> None:
        parts = dict(given)
        for row in rows:
            image = image_of(row, self._network(row, scale), field, scale)
            name = f"{ORACLE if row.is_oracle else ''}{row.name}"
            parts[f"{name}\n{psnr(image, field.truth, scale):.2f} dB"] = middle(image, SIDE)
        parts["truth"] = middle(field.truth, SIDE)
        save_strip(parts, path)

    def _network(self, row: Row, scale: int) -> Network | None:
        if row.changes is None:
            return None
        folder = self.plan.output / "runs" / self.planned(row, scale, 0).folder
        return read_weights(folder / WEIGHTS)[0]

    def planned(self, row: Row, scale: int, seed: int) -> Run:
        """The training of a row; for a test on the reference, that of half the scale."""
        key = (row.name, scale, seed)
        if key not in self._runs:  # planning reads all files, for the fingerprint
            plan = self.plan
            own = scale // 2 if row.test.startswith("half") else scale
            self._runs[key] = plan_run(
                plan.table,
                row if own == scale else _named(plan, own),
                scale=own,
                seed=seed,
                budget=plan.budget,
                data=plan.data,
                degradation=plan.degradation,
            )
        return self._runs[key]

    def progress(self, table: str, places: Sequence[Place], say: Say) -> TableProgress:
        """Progress messages for the trainings of these places, by the table's number."""
        minutes = self.plan.budget.minutes
        expected = None if minutes is None else 60 * minutes
        return TableProgress(table, places, self._training, say, expected)

    def _training(self, place: Place) -> Training | None:
        if place.row.changes is None:
            return None
        try:
            run = self.planned(place.row, place.scale, place.seed)
            record = read_record(self.plan.output / "runs" / run.folder, run)
        except TrainingError:  # raised again in its turn
            return None
        return Training(run.folder, None if record is None else record.seconds)

    def trained(self, progress: TableProgress) -> tuple[Path, RunRecord]:
        """Train the current place if needed; return the run's folder and record.

        Raises
        ------
        CancelledError
            If ``cancel`` was called; the next call resumes.
        TrainingError
            If the training fails.
        OutputError
            If the folder cannot be written to.
        """
        plan = self.plan
        place = progress.place
        run = self.planned(place.row, place.scale, place.seed)
        folder = plan.output / "runs" / run.folder
        make_folder(folder)
        note_row(folder, f"{progress.table}: {place}")
        record = train(run, plan.data, plan.output, plan.budget, cancel=self._cancel, say=progress)
        return folder, record

    def fields(self, scale: int) -> tuple[list[Field], str]:
        """The test fields of a scale, and a hash of their pixels."""
        if scale not in self._fields:
            table = self.plan.table
            first = next(row for row in self.plan.rows(scale) if row.changes is not None)
            recipe = self.planned(first, scale, 0).recipe
            fields = fields_to_test(recipe, self.plan.data, table.side, table.per_image)
            self._fields[scale] = (fields, _hash(fields))
        return self._fields[scale]

    def _cell(self, place: Place) -> Cell:
        row, scale = place.row, place.scale
        fields, digest = self.fields(scale)
        record: RunRecord | None = None
        weights: Path | None = None
        folder = self.plan.output / "tests"
        if row.changes is not None:
            folder, record = self.trained(self._say)
            weights = folder / WEIGHTS
        suffix = "" if not self._metrics else "-lpips"
        path = folder / f"{row.test.replace(' ', '-')}-x{scale}-{digest}{suffix}.json"
        tested = kept(path)
        if tested is None:
            tested = self._test(row, weights, fields, scale)
            keep(tested, path)
        return Cell(row, scale, place.seed, tested, record)

    def _test(
        self, row: Row, weights: Path | None, fields: Sequence[Field], scale: int
    ) -> FieldFigures:
        self._say("testing")
        network = None if weights is None else read_weights(weights)[0]
        return measured(row, network, fields, scale, perceptual=self._metrics, cancel=self._cancel)

    def _left(self) -> str:
        """The number of finished cells of all cells, while some are missing."""
        done, total = len(self.cells), len(self._places)
        return "" if done == total else f"{done} of {total} rows and seeds"

    def _steps(self) -> str:
        """Steps within a time budget, which differ between networks."""
        steps = [cell.run.steps for cell in self.cells if cell.run is not None]
        if self.plan.budget.minutes is None or not steps:
            return ""
        return f"as many as each made in that time, {min(steps)} to {max(steps)}"

    def _about(self) -> dict[str, Any]:
        plan, fields = self.plan, self._fields
        at = machine(choose_device("cpu"))
        data = next((cell.run.data for cell in self.cells if cell.run is not None), "")
        images = {s: len({image_name(field.name) for field in f}) for s, (f, _) in fields.items()}
        return {
            "Not all is done yet": self._left(),
            "Training failed": "; ".join(self._broken),
            "Budget": f"{plan.budget} {'of time' if plan.budget.minutes else 'steps'} a network",
            "Degradation": plan.degradation,
            "Data": f"fingerprint {data}" if data else "",
            "Steps": self._steps(),
            "Learning rate": f"{plan.table.base['learning_rate']:g}",
            "Precision of training": plan.table.base["dtype"],
            "Test fields": ", ".join(
                f"{len(f)} from {images[s]} images at ×{s}" for s, (f, _) in fields.items()
            ),
            "Fields in the pictures": RULE,
            "Machine": f"{at['name']}, {at['torch_threads']} of {at['cores']} cores",
            "Software": f"napari-cwtnet {__version__}, torch {torch.__version__}",
        }


def _places(plan: TablePlan) -> Iterator[Place]:
    """Cells, one seed after another, to have a whole table early."""
    for seed in range(plan.seeds):
        for scale in plan.scales:
            for row in plan.rows(scale):
                if row.changes is not None or seed == 0:
                    yield Place(row, scale, seed)


def _named(plan: TablePlan, scale: int) -> Row:
    """The row that all are compared with, at another scale."""
    return next(row for row in plan.rows(scale) if row.name == plan.table.compared)


def _hash(fields: Sequence[Field]) -> str:
    total = hashlib.sha256()
    for field in fields:
        for image in (field.lr, field.reference, field.truth):
            total.update(image.tobytes())
    return total.hexdigest()[:8]
