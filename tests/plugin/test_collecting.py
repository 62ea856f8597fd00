"""Long garbage collections are put off while a thread is at work, and only then."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from napari_cwtnet.plugin.tasks.finetune import no_collection, short_collections
from plugin.finetune_help import finish, wait_for_step


@pytest.fixture(autouse=True)
def collector_as_it_was():
    gc.unfreeze()  # what earlier tests left
    yield
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_nothing_is_collected_within_the_block() -> None:
    with no_collection():
        assert not gc.isenabled()
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_old_objects_are_left_alone_until_the_last_block_ends() -> None:
    with pytest.raises(ValueError, match="failed"), short_collections():
        with short_collections():
            assert gc.get_freeze_count() > 10_000
        assert gc.get_freeze_count() > 10_000
        raise ValueError("failed")


def test_while_a_model_learns(tune_dock: Callable[..., Any], qtbot: Any) -> None:
    _, dock = tune_dock()
    dock.start()
    wait_for_step(qtbot, dock, 1)
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000
    finish(qtbot, dock, dock.stop)
