"""What is logged can be read back, and TensorBoard shows the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_cwtnet.training.events import CheckpointWritten, Validation
from napari_cwtnet.training.run_folder import RunLog
from napari_cwtnet.training.trainer import Trainer
from training.conftest import tiny_recipe
from training.test_trainer import MIXED


def test_rows_are_read_back(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.csv")
    assert log.rows() == []
    log.add(Validation(0, 30.125, 29.1, None, None, True), 1.26, None)
    log.add(Validation(7, 31.0, 29.1, 33.5, 32.0, True), 4.0, 0.25)
    first, second = log.rows()
    assert first == {
        "step": 0, "seconds": 1.3, "psnr": 30.125, "bicubic": 29.1, "with_reference": None,
        "reference_bicubic": None, "loss": None,
    }  # fmt: skip
    assert (second["with_reference"], second["reference_bicubic"], second["loss"]) == (
        33.5,
        32,
        0.25,
    )
    with log.path.open("a") as handle:
        handle.write("1\n3,2.0,30.1,29.1,x,,\n4,2.5,30.1\n\n")  # a full disk, or a careless hand
    assert log.rows() == [first, second]
    log.drop_after(6)
    assert log.rows() == [first]
    assert log.path.read_bytes().count(b"\n") == 2


# tensorboard, protobuf and setuptools raise warnings of their own as they are imported
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_tensorboard_shows_the_figures_of_the_log(data_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe, output = tiny_recipe(steps=9, **MIXED), tmp_path / "run"
    for event in Trainer(recipe, data_root, output).run():
        if isinstance(event, CheckpointWritten) and event.step == 6:
            break
    list(Trainer(recipe, data_root, output).run())
    board = EventAccumulator(str(output / "tensorboard"))
    board.Reload()
    rows = RunLog(output / "log.csv").rows()
    assert [row["step"] for row in rows] == [3, 6, 9]
    for tag, name in (
        ("PSNR in dB/single-image", "psnr"),
        ("PSNR in dB/bicubic of the reference", "reference_bicubic"),
        ("loss", "loss"),
    ):
        shown = board.Scalars(tag)
        assert [event.step for event in shown] == [3, 6, 9]
        assert [event.value for event in shown] == pytest.approx([row[name] for row in rows])


def test_without_tensorboard_there_is_no_folder(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    list(Trainer(tiny_recipe(steps=3), data_root, tmp_path / "run").run())
    assert not (tmp_path / "run" / "tensorboard").exists()
