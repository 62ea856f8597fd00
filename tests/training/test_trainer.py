"""A run learns, stops and goes on, and a checkpoint is never lost."""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import OutputError, TrainingError
from napari_cwtnet.files import written_whole
from napari_cwtnet.model import CwtNet, read_weights
from napari_cwtnet.training.adam import Adam
from napari_cwtnet.training.events import CheckpointWritten, Done, StepDone, Validation
from napari_cwtnet.training.fields import load_fields
from napari_cwtnet.training.recipe import Recipe
from napari_cwtnet.training.state import RunState
from napari_cwtnet.training.trainer import Trainer
from napari_cwtnet.training.validation import bicubic_figures, network_figures
from training.conftest import tiles, tiny_recipe

MIXED = {"scale": 4, "reference_share": 0.5}
"""Half of the batches leave the WR module out: its optimiser state falls behind the rest."""


def assert_same_state(first: RunState, second: RunState) -> None:
    """Every bit that the next step depends on."""
    assert first.step == second.step
    assert first.generator.bit_generator.state == second.generator.bit_generator.state
    for a, b in ((first.network, second.network), (first.average, second.average)):
        for (name, x), y in zip(a.named_parameters(), b.parameters(), strict=True):
            assert torch.equal(x, y), name
    parameters = zip(first.network.named_parameters(), second.network.parameters(), strict=True)
    for (name, x), y in parameters:
        moments, others = first.optimiser.state[x], second.optimiser.state[y]
        assert moments.keys() == others.keys(), name
        for moment in moments:
            assert torch.equal(moments[moment], others[moment]), (name, moment)


def logged(output: Path) -> list[dict[str, str]]:
    with (output / "log.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_training_learns_and_beats_bicubic(data_root: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(steps=80, validate_every=40, batch=4, learning_rate=1e-2)
    trainer = Trainer(recipe, data_root, tmp_path / "run")
    events = list(trainer.run())
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    assert len(losses) == 80
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    validations = [event for event in events if isinstance(event, Validation)]
    assert [event.step for event in validations] == [40, 80]
    assert validations[-1].psnr > validations[-1].psnr_bicubic + 1
    assert validations[-1].psnr_with_reference is None
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.step, done.stopped, done.weights) == (80, False, trainer.weights)
    network, provenance, _ = read_weights(done.weights)
    fields = list(load_fields(recipe.sources[0], data_root, 2, held_out=True))  # whole ones
    assert [field.name for field in fields] == ["4.png"]
    # the file's weights lie in memory in another order, in which sums round otherwise
    figures = network_figures(network, fields, with_reference=False)
    assert figures.psnr == pytest.approx(done.best_psnr, abs=0.01)
    assert bicubic_figures(fields, 2, of_reference=False).psnr == validations[-1].psnr_bicubic
    assert provenance["step"] == 80
    assert provenance["reference_share"] == 0
    assert Recipe.model_validate(provenance["recipe"]) == recipe


def test_events_and_log(data_root: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    events = list(Trainer(tiny_recipe(**MIXED), data_root, output).run())
    kinds = [type(event).__name__ for event in events]
    told = ["Measuring", "Measuring", "Validation", "Preview", "CheckpointWritten"]
    part = ["StepDone"] * 3 + told
    assert kinds == [*part, *part, "Done"]
    rows = logged(output)
    assert [row["step"] for row in rows] == ["3", "6"]
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    assert [float(row["loss"]) for row in rows] == [
        pytest.approx(sum(part) / 3) for part in (losses[:3], losses[3:])
    ]
    validations = [event for event in events if isinstance(event, Validation)]
    for row, event in zip(rows, validations, strict=True):
        assert float(row["psnr"]) == event.psnr
        assert float(row["bicubic"]) == event.psnr_bicubic
        assert float(row["with_reference"]) == event.psnr_with_reference
        assert float(row["reference_bicubic"]) == event.psnr_reference_bicubic
    assert sorted(p.name for p in output.iterdir()) == [
        ".lock",
        "last.safetensors",
        "log.csv",
        "recipe.yaml",
        "tiny.safetensors",
    ]


def test_learning_rate_warms_up_and_falls_to_a_hundredth() -> None:
    state = RunState(tiny_recipe(learning_rate=1e-3, warm_up=10, steps=110))
    rates = []
    for state.step in range(111):
        rates.append(state.learning_rate())
    assert rates[0] == pytest.approx(1e-4)
    assert rates[9] == rates[10] == pytest.approx(1e-3)
    assert rates[60] == pytest.approx(0.505e-3)
    assert rates[110] == pytest.approx(1e-5)
    assert max(rates) == rates[10]


def test_first_weights_follow_the_seed_and_nobody_else_s_numbers_do() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second = RunState(tiny_recipe()), RunState(tiny_recipe())
    assert torch.equal(torch.rand(3), expected)
    other = RunState(tiny_recipe(seed=1))
    weights = [state.network.head.weight for state in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    torch.manual_seed(0)  # as it always was: runs that have begun can be compared
    assert torch.equal(CwtNet(tiny_recipe().network_config()).head.weight, weights[0])


def test_average_follows_the_weights() -> None:
    state = RunState(tiny_recipe(ema=0.9))
    start = state.network.head.bias.detach().clone()
    with torch.no_grad():
        state.network.head.bias.add_(1)
    state.step = 1000
    state.update_average()
    torch.testing.assert_close(state.average.head.bias, start + 0.1)
    state.step = 1  # the average warms up: (1 + 1) / (10 + 1)
    state.update_average()
    torch.testing.assert_close(state.average.head.bias, start + 0.1 * 2 / 11 + 9 / 11)


@pytest.mark.parametrize("changes", [{}, MIXED, {"dtype": "bfloat16"}], ids=str)
def test_resumed_run_equals_an_unbroken_one(
    data_root: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    recipe = tiny_recipe(**{"steps": 9} | changes)
    unbroken = Trainer(recipe, data_root, tmp_path / "unbroken")
    whole = list(unbroken.run())
    broken = Trainer(recipe, data_root, tmp_path / "broken")
    for event in broken.run():
        if isinstance(event, CheckpointWritten) and event.step == 6:
            break
    resumed = Trainer(recipe, data_root, tmp_path / "broken")
    assert resumed.state is not broken.state
    assert_same_state(resumed.state, broken.state)
    rest = list(resumed.run())
    assert [event.step for event in rest if isinstance(event, StepDone)] == [7, 8, 9]
    assert_same_state(resumed.state, unbroken.state)
    assert resumed.state.best_psnr == unbroken.state.best_psnr
    assert [e.loss for e in rest if isinstance(e, StepDone)] == [
        e.loss for e in whole if isinstance(e, StepDone)
    ][6:]
    first, second = load_file(unbroken.weights), load_file(resumed.weights)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [row["psnr"] for row in logged(tmp_path / "broken")] == [
        row["psnr"] for row in logged(tmp_path / "unbroken")
    ]
    if changes is MIXED:  # or the test would not see a wrong count of Adam's steps
        counts = {float(s["step"]) for s in unbroken.state.optimiser.state.values() if s}
        assert max(counts) == 9
        assert 0 < min(counts) < 9


def test_checkpoint_without_adam_steps_is_still_read(data_root: Path, tmp_path: Path) -> None:
    """Runs that began before each parameter's steps were kept can go on."""
    recipe, path = tiny_recipe(steps=3), tmp_path / "last.safetensors"
    trainer = Trainer(recipe, data_root, tmp_path)
    list(trainer.run())
    with safe_open(path, framework="pt") as archive:
        metadata = archive.metadata()
    progress = json.loads(metadata["progress"])
    del progress["adam_steps"]
    save_file(load_file(path), path, metadata | {"progress": json.dumps(progress)})
    assert_same_state(RunState.load(path, recipe), trainer.state)


def test_checkpoint_that_was_cut_short_by_a_kill_is_cleared_away(
    data_root: Path, tmp_path: Path
) -> None:
    recipe, output = tiny_recipe(steps=3), tmp_path / "run"
    first = Trainer(recipe, data_root, output)
    list(first.run())
    whole = {path.name for path in output.iterdir()}
    child = os.fork()
    if child == 0:
        with written_whole(output / "last.safetensors") as partial:
            partial.write_bytes(b"half")
            os._exit(0)
    os.waitpid(child, 0)
    assert {path.name for path in output.iterdir()} > whole
    assert_same_state(Trainer(recipe, data_root, output).state, first.state)
    assert {path.name for path in output.iterdir()} == whole


def test_run_imports_nothing_of_torch_compile(data_root: Path, tmp_path: Path) -> None:
    """That takes seconds, during which somebody waits for the first step."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(tiny_recipe(steps=1, validate_every=1).to_yaml(), encoding="utf-8")
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from napari_cwtnet.training.events import Done
        from napari_cwtnet.training.recipe import load_recipe
        from napari_cwtnet.training.trainer import Trainer
        recipe = load_recipe(Path({str(recipe)!r}))
        trainer = Trainer(recipe, Path({str(data_root)!r}), Path({str(tmp_path / "run")!r}))
        events = list(trainer.run())
        assert isinstance(events[-1], Done)
        print(*(name for name in sys.modules if name.startswith("torch._dynamo")))
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_adam_steps_like_torch_s() -> None:
    weights = []
    for optimiser in (Adam, torch.optim.Adam):
        torch.manual_seed(0)
        layer = torch.nn.Linear(5, 3)
        steps = optimiser(layer.parameters(), lr=0.01)
        for _ in range(3):
            steps.zero_grad()
            layer(torch.rand(4, 5)).square().sum().backward()
            steps.step()
        weights.append(layer.weight.detach())
    assert torch.equal(*weights)


def test_finished_run_has_nothing_left_to_do(data_root: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(steps=3)
    (*_, done) = Trainer(recipe, data_root, tmp_path / "run").run()
    again = list(Trainer(recipe, data_root, tmp_path / "run").run())
    assert again == [done]
    assert len(logged(tmp_path / "run")) == 1


@pytest.mark.parametrize(("after", "validated"), [(4, ["3", "4"]), (3, ["3"])])
def test_stopped_run_keeps_the_best_model_and_its_state(
    data_root: Path, tmp_path: Path, after: int, validated: list[str]
) -> None:
    recipe, cancel = tiny_recipe(steps=50), CancelToken()
    trainer = Trainer(recipe, data_root, tmp_path / "run")
    events = []
    for event in trainer.run(cancel):
        events.append(event)
        if isinstance(event, StepDone) and event.step == after:
            cancel.cancel("enough")
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.step, done.stopped) == (after, True)
    assert [row["step"] for row in logged(tmp_path / "run")] == validated
    assert read_weights(done.weights)[0].config == recipe.network_config()
    assert_same_state(Trainer(recipe, data_root, tmp_path / "run").state, trainer.state)


CHILD = """
    import sys
    from pathlib import Path
    from napari_cwtnet.training.recipe import load_recipe
    from napari_cwtnet.training.trainer import Trainer
    from napari_cwtnet.training.events import CheckpointWritten
    recipe, data, output = map(Path, sys.argv[1:])
    for event in Trainer(load_recipe(recipe), data, output).run():
        if isinstance(event, CheckpointWritten):
            print(event.step, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_run_is_taken_up_where_it_was_last_saved(data_root: Path, tmp_path: Path) -> None:
    recipe, output = tiny_recipe(steps=100_000, validate_every=2), tmp_path / "run"
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    arguments = [sys.executable, "-c", textwrap.dedent(CHILD), str(path), str(data_root)]
    with subprocess.Popen([*arguments, str(output)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "2\n"
        assert child.stdout.readline() == "4\n"
        child.kill()
        assert child.wait(30) == -signal.SIGKILL
    # a run that is killed between log and checkpoint has logged what is not kept
    with (output / "log.csv").open("a") as handle:
        handle.write("99998,1.0,99,9,,\n")
    resumed = Trainer(recipe, data_root, output)
    assert resumed.state.step >= 4
    steps = [int(row["step"]) for row in logged(output)]
    assert steps == list(range(2, resumed.state.step + 1, 2))
    unbroken = Trainer(recipe, data_root, tmp_path / "unbroken")
    run = (event for event in unbroken.run() if isinstance(event, StepDone))
    for _ in itertools.islice(run, resumed.state.step):
        pass
    assert_same_state(resumed.state, unbroken.state)
    assert isinstance(next(resumed.run()), StepDone)


@pytest.mark.parametrize("what", ["loss", "gradient norm"])
def test_diverging_run_ends_with_the_last_checkpoint_intact(
    data_root: Path, tmp_path: Path, what: str
) -> None:
    recipe, output = tiny_recipe(steps=50), tmp_path / "run"
    trainer = Trainer(recipe, data_root, output)
    run = trainer.run()
    for event in run:
        if isinstance(event, CheckpointWritten):
            break
    kept = {path.name: path.read_bytes() for path in output.iterdir()}
    parameter = trainer.state.network.tail[-1].bias
    if what == "loss":
        with torch.no_grad():
            parameter[0] = math.nan
    else:
        parameter.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(TrainingError, match=rf"^The {what} is nan at step 3; the last checkpoint"):
        list(run)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == kept
    state = RunState.load(output / "last.safetensors", recipe)
    assert all(p.isfinite().all() for p in state.network.parameters())


def test_weights_that_have_run_away_are_never_saved(data_root: Path, tmp_path: Path) -> None:
    """They are finite numbers still, but nothing that is computed with them is."""
    recipe, output = tiny_recipe(steps=50), tmp_path / "run"
    trainer = Trainer(recipe, data_root, output)
    run = trainer.run()
    for event in run:
        if isinstance(event, CheckpointWritten):
            break
    kept = {path.name: path.read_bytes() for path in output.iterdir()}
    for event in run:
        if isinstance(event, StepDone) and event.step == 6:  # is measured next
            with torch.no_grad():
                for parameter in trainer.state.average.parameters():
                    parameter.mul_(0).add_(1e30)
            break
    with pytest.raises(TrainingError, match=r"^The model's output is nan at step 6; the last"):
        list(run)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == kept


def test_full_disk_keeps_the_last_checkpoint(data_root: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits need a POSIX system")
    recipe, output = tiny_recipe(), tmp_path / "run"
    run = Trainer(recipe, data_root, output).run()
    for event in run:
        if isinstance(event, CheckpointWritten):
            break
    last = output / "last.safetensors"
    kept = last.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) // 2, hard))
    try:
        with pytest.raises(OutputError, match=r"last\.safetensors: File too large; free some"):
            list(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert last.read_bytes() == kept


def test_run_without_held_out_images_is_refused(data_root: Path, tmp_path: Path) -> None:
    source = tiny_recipe().sources[0].model_dump() | {"held_out": ["none*"]}
    output = tmp_path / "run"
    with pytest.raises(TrainingError, match="No source keeps images for validation; give held_out"):
        Trainer(tiny_recipe(sources=[source]), data_root, output)
    assert not output.exists()


def test_held_out_images_are_never_trained_on(data_root: Path, tmp_path: Path) -> None:
    (data_root / "blocks" / "4.png").unlink()
    Image.fromarray(255 - tiles(4)).save(data_root / "blocks" / "4.png")
    trainer = Trainer(tiny_recipe(), data_root, tmp_path / "run")
    names = [field.name for field in trainer.sampler._fields]
    assert names == ["0.png", "1.png", "2.png", "3.png"]
    assert [field.name for field in trainer.held_out] == ["4.png"]


def test_image_held_out_by_one_source_is_not_trained_on_by_another(
    data_root: Path, tmp_path: Path
) -> None:
    first = tiny_recipe().sources[0].model_dump()
    halved = first | {"name": "halved", "halvings": 1, "held_out": []}
    with pytest.raises(TrainingError, match=r"^Source 'halved' trains on 4\.png, which another"):
        Trainer(tiny_recipe(sources=[first, halved]), data_root, tmp_path / "run")
    Trainer(tiny_recipe(sources=[first, halved | {"held_out": ["4*"]}]), data_root, tmp_path / "r")


def test_run_of_another_recipe_is_not_taken_up(data_root: Path, tmp_path: Path) -> None:
    list(Trainer(tiny_recipe(steps=3), data_root, tmp_path / "run").run())
    recipe = (tmp_path / "run" / "recipe.yaml").read_bytes()
    with pytest.raises(TrainingError, match="was made by another recipe; choose another output"):
        Trainer(tiny_recipe(steps=4), data_root, tmp_path / "run")
    assert (tmp_path / "run" / "recipe.yaml").read_bytes() == recipe


@pytest.mark.parametrize("damage", ["truncated", "garbage", "weights", "tensors"])
def test_damaged_checkpoint_is_refused(data_root: Path, tmp_path: Path, damage: str) -> None:
    recipe, output = tiny_recipe(steps=3), tmp_path / "run"
    trainer = Trainer(recipe, data_root, output)
    list(trainer.run())
    last = output / "last.safetensors"
    if damage == "truncated":
        last.write_bytes(last.read_bytes()[:-10])
    elif damage == "garbage":
        last.write_bytes(b"garbage")
    elif damage == "weights":
        last.write_bytes(trainer.weights.read_bytes())
    else:
        metadata = {"recipe": recipe.model_dump_json(), "progress": '{"step": 3}'}
        save_file({"network/head.bias": torch.zeros(3)}, last, metadata)
    with pytest.raises(TrainingError) as caught:
        Trainer(recipe, data_root, output)
    message = str(caught.value)
    assert message.startswith(f"Checkpoint {last} cannot be read: ")
    assert message.endswith("; delete it to start again, or choose another output folder.")
    assert "\n" not in message


def test_output_that_is_a_file_is_refused(data_root: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(OutputError, match=r"^Cannot write to .*run: File exists; choose another"):
        Trainer(tiny_recipe(), data_root, tmp_path / "run")
