"""``reproduce``: a table of the paper, trained, tested and written; or the page with all."""

from __future__ import annotations

import argparse

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.cli.report import report, stopped_by_interrupt
from napari_cwtnet.cli.terminal import tell
from napari_cwtnet.errors import CancelledError, RequestError
from napari_cwtnet.evaluation.reproduce import (
    TABLES,
    Driver,
    TablePlan,
    judge_methods,
    read_budget,
    write_page,
)

_INTERRUPTED = 130
_CLASSIFICATION = "table6"


def run(arguments: argparse.Namespace) -> int:
    """Do a table to its end, or until Ctrl-C; the same call goes on."""
    if arguments.table == "page":
        files = write_page(arguments.folders, arguments.output)
        report({"page": str(files[0]), "files": len(files)}, as_json=arguments.json)
        return 0
    if arguments.seeds < 1:
        raise RequestError(f"--seeds {arguments.seeds}: give 1 or more.")
    key, rate = arguments.table, arguments.learning_rate
    table = TABLES["table1" if key == _CLASSIFICATION else key].in_dtype(arguments.dtype)
    plan = TablePlan(
        table=table if rate is None else table.at_rate(rate),
        data=arguments.data,
        output=arguments.output,
        budget=read_budget(arguments.budget),
        seeds=arguments.seeds,
        scales=tuple(dict.fromkeys(arguments.scale)),
        degradation=arguments.degradation,
    )
    cancel = CancelToken()
    with stopped_by_interrupt(cancel, "stopping; the same command continues"):
        try:
            if key == _CLASSIFICATION:
                epochs = arguments.epochs
                done = len(judge_methods(plan, arguments.patches, epochs, cancel, tell))
            else:
                done = len(Driver(plan, cancel, tell).run())
        except CancelledError as error:
            tell(error)
            return _INTERRUPTED
    files = [plan.output / f"{key}.{kind}" for kind in ("md", "csv", "json")]
    report({"table": key, "cells": done, "files": [str(f) for f in files]}, as_json=arguments.json)
    return 0
