"""A whole slide block by block: the very bytes of one piece, whatever stops it on the way."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from export.whole_help import BLOCK, files, without_time, write_model, write_slide
from napari_cwtnet import enhance, load_model, open_slide
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine, EnhanceRequest, Grid, make_plan
from napari_cwtnet.enhancement.engine import TileResult
from napari_cwtnet.enhancement.memory import TileOutput
from napari_cwtnet.errors import CancelledError, OutputError, RequestError
from napari_cwtnet.export import export_image, save_image, save_mark
from napari_cwtnet.export.whole_slide import Job, enhance_to_file
from napari_cwtnet.export.whole_slide.blocks import (
    Block,
    BorderTiles,
    Layout,
    cut,
    for_workers,
    lay_out,
)
from napari_cwtnet.export.whole_slide.compute import tile_uses
from napari_cwtnet.export.whole_slide.job import JobContext
from napari_cwtnet.export.whole_slide.journal import Journal
from napari_cwtnet.export.whole_slide.store import Store
from napari_cwtnet.export.whole_slide.work_folder import check_space
from napari_cwtnet.geometry import Region, Size

STRIPE = Region(0, 0, 1200, 240)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def slide_file(folder: Path) -> Path:
    return write_slide(folder / "slide.ome.tif")


@pytest.fixture(scope="module")
def job(folder: Path, slide_file: Path) -> Job:
    """Of two blocks."""
    return Job(slide_file, str(write_model(folder, 2)), STRIPE, 2.0, device="cpu")


class Stop:
    """Cancels with one tile to go, in the second of two blocks."""

    def __init__(self) -> None:
        self.token = CancelToken()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what == "tile" and total - done == 1:
            self.token.cancel("enough")


def stopped(job: Job, output: Path) -> Path:
    """Leave a run unfinished; the folder it is in."""
    stop = Stop()
    with pytest.raises(
        CancelledError, match=r"^enough; 1 of 2 blocks are done; resume the run to continue"
    ):
        enhance_to_file(job, output, block=BLOCK, cancel=stop.token, told=stop)
    assert not output.exists()
    return output.with_name(f".{output.name}.partial")


@pytest.mark.parametrize(
    ("scale", "downsample", "region", "words"),
    [
        (2, 2.0, None, {}),
        (4, 4.0, Region(13.3, 7.7, 1150.2, 1060.9), {}),
        (
            2,
            1.7,
            Region(100.5, 30.25, 950, 240),
            {"dtype": "float16", "grid": Grid(5, 6, 62, 70), "skip_background": False},
        ),
    ],
)
def test_the_same_bytes_as_in_one_piece(
    slide_file: Path,
    tmp_path: Path,
    scale: int,
    downsample: float,
    region: Region | None,
    words: dict[str, Any],
) -> None:
    weights = write_model(tmp_path, scale)
    made = enhance_to_file(
        Job(slide_file, str(weights), region, downsample, device="cpu", **words),
        tmp_path / "blocks.ome.zarr",
        block=BLOCK,
    )
    assert made.blocks == (2 if downsample == 1.7 else 4)
    assert made.computed_tiles == made.tiles  # none of them twice
    with open_slide(slide_file) as slide:
        one = enhance(
            slide,
            region or slide.bounds,
            downsample,
            model=load_model(weights),
            device="cpu",
            **words,
        )
    assert made.tiles == len(one.plan.tiles)
    assert made.tally == one.tile_counts.as_dict()
    assert ("background_tiles" in made.tally) is ("skip_background" not in words)
    assert made.plan.mode == ("cross-scale" if scale == 4 else "single-image")
    figures = made.quality.as_dict()
    export_image(tmp_path / "one.ome.zarr", one.image, one.provenance, one.mpp, figures=figures)
    blocks, whole = (without_time(tmp_path / f"{name}.ome.zarr") for name in ("blocks", "one"))
    assert blocks.keys() == whole.keys()
    assert [name for name in whole if blocks[name] != whole[name]] == []
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    if one.plan.checkable:
        figures = made.quality.as_dict()
        # between stored pixels, what is read depends a little on where reading begins
        exact = 1e-9 if region is None else 1e-3
        assert figures["psnr"] == pytest.approx(one.metrics.psnr, abs=exact)
        assert figures["psnr_bicubic"] == pytest.approx(one.metrics.psnr_bicubic, abs=1e-3)
        if scale == 4:
            expected = one.metrics.psnr_reference_bicubic
            assert figures["psnr_reference_bicubic"] == pytest.approx(expected, abs=1e-3)
        assert figures["ssim"] is None
    record = json.loads((tmp_path / "blocks.ome.zarr.json").read_text(encoding="utf-8"))
    assert record["output_size"] == [one.image.shape[1], one.image.shape[0]]
    assert record["quality"] == made.quality.as_dict()
    assert record.items() >= (one.provenance | {"time": record["time"]}).items()


def test_an_ome_tiff_of_it(job: Job, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    output = tmp_path / "out.ome.tif"
    made = enhance_to_file(job, output, block=BLOCK, told=lambda *words: told.append(words))
    with open_slide(job.slide) as slide:
        one = enhance(slide, STRIPE, 2.0, model=load_model(job.model), device="cpu")
    record = json.loads(output.with_name("out.ome.tif.json").read_text(encoding="utf-8"))
    provenance = one.provenance | {key: record[key] for key in ("time", "source")}
    figures = made.quality.as_dict()
    export_image(tmp_path / "one.ome.tif", one.image, provenance, one.mpp, figures=figures)
    assert output.read_bytes() == (tmp_path / "one.ome.tif").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "one.ome.tif", "one.ome.tif.json", "out.ome.tif", "out.ome.tif.json",
    ]  # fmt: skip
    tiles = [(done, total) for what, done, total in told if what == "tile"]
    assert tiles[0] == (0, made.tiles)
    assert tiles[-1] == (made.tiles, made.tiles)
    assert tiles == sorted(tiles)
    assert [what for what, done, total in told if done == total][-2:] == ["level", "part"]


def test_a_cancelled_run_goes_on(job: Job, tmp_path: Path) -> None:
    output = tmp_path / "out.ome.zarr"
    work = stopped(job, output)
    shutil.copytree(work, tmp_path / ".again.ome.zarr.partial")
    with pytest.raises(
        OutputError, match=r"unfinished run in \.out\.ome\.zarr\.partial; add --resume"
    ):
        enhance_to_file(job, output)
    made = enhance_to_file(job, output, resume=True)
    assert (made.resumed_blocks, made.blocks) == (1, 2)
    again = enhance_to_file(job, tmp_path / "again.ome.zarr", resume=True)
    assert files(output) == files(tmp_path / "again.ome.zarr")
    assert again.quality == made.quality
    enhance_to_file(job, tmp_path / "unbroken.ome.zarr", block=BLOCK)
    assert without_time(output) == without_time(tmp_path / "unbroken.ome.zarr")
    before = files(output)
    nothing = enhance_to_file(job, output, resume=True)
    assert nothing.computed_tiles == 0
    assert (nothing.quality, nothing.tally) == (made.quality, made.tally)
    other = dataclasses.replace(job, skip_background=False)
    with pytest.raises(OutputError, match=r"of another kind: skip_background is True, here False"):
        enhance_to_file(other, output, resume=True)
    assert files(output) == before


def test_what_is_lost_is_made_again(job: Job, tmp_path: Path) -> None:
    output = tmp_path / "out.ome.zarr"
    work = stopped(job, output)
    lines = (work / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (work / "journal.jsonl").write_bytes(b"".join(lines) + lines[-1][:40])  # killed in it
    chunk = work / "image.ome.zarr" / "0" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    chunk.with_name("0.1f.partial").write_bytes(b"killed in it")  # as zarr names what it writes
    made = enhance_to_file(job, output, resume=True)
    assert made.resumed_blocks == 0
    enhance_to_file(job, tmp_path / "unbroken.ome.zarr", block=BLOCK)
    assert without_time(output) == without_time(tmp_path / "unbroken.ome.zarr")


def test_a_line_that_was_cut_off_is_no_part_of_the_next(job: Job, tmp_path: Path) -> None:
    path = stopped(job, tmp_path / "out.ome.zarr") / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:40])
    Journal(path).level_done(1, "0" * 64)
    again = Journal(path)
    assert again.levels == {1: "0" * 64}
    assert list(again.blocks) == [(0, 0)]
    assert path.read_bytes().startswith(whole)


def test_a_worker_that_comes_late_writes_nothing(job: Job, tmp_path: Path) -> None:
    work = stopped(job, tmp_path / "out.ome.zarr")
    image, run = work / "image.ome.zarr", Journal(work / "journal.jsonl").head.provenance
    pixels = np.zeros((240, BLOCK, 3), np.uint8)
    before = files(image)
    with pytest.raises(OutputError, match="of another run by now"):
        Store(image, {**run, "time": "before"}).write(0, 0, 0, pixels)
    late = Store(image, run)
    moved = image.rename(tmp_path / "moved")
    with pytest.raises(OutputError, match="of another run by now"):
        late.write(0, 0, 0, pixels)
    assert not image.exists()
    assert files(moved) == before
    Store(moved, run).write(0, 0, 0, pixels)  # black, and a chunk all the same
    assert (moved / "0" / "c" / "0" / "0" / "0").exists()
    assert files(moved) != before


def test_another_run_is_not_gone_on_with(job: Job, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ome.zarr"
    work = stopped(job, output)
    before = files(work)
    others = {
        "region": Job(job.slide, job.model, Region(0, 0, 1200, 200), 2.0, device="cpu"),
        "model": Job(job.slide, str(write_model(tmp_path, 4)), STRIPE, 2.0, device="cpu"),
        "sharpness": dataclasses.replace(job, sharpness="soft"),
    }
    for key, other in others.items():
        with pytest.raises(
            OutputError, match=rf"another kind: .*{key}.*resume it with the settings.*, or delete"
        ):
            enhance_to_file(other, output, resume=True)
    journal = work / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content.replace(b'"native_mpp": 0.25', b'"native_mpp": 0.26'))
    with pytest.raises(OutputError, match=r"native_mpp is 0\.26, here 0\.25; resume it"):
        enhance_to_file(job, output, resume=True)
    journal.write_bytes(content.replace(b'"place"', b'"space"', 1))
    with pytest.raises(OutputError, match=r"damaged or of another version in line 2; delete"):
        enhance_to_file(job, output, resume=True)
    journal.write_bytes(content)
    assert files(work) == before


def test_a_run_of_another_version_says_which_to_install(job: Job, tmp_path: Path) -> None:
    output = tmp_path / "out.ome.zarr"
    work = stopped(job, output)
    journal = work / "journal.jsonl"
    older = journal.read_text().replace(
        '"software": "napari-cwtnet ', '"software": "napari-cwtnet 0.0+'
    )
    journal.write_text(older.replace('"halo": 8', '"border": 8'))  # it may have had other keys
    before = files(work)
    with pytest.raises(
        OutputError,
        match=r"software is napari-cwtnet 0\.0\+.*, here napari-cwtnet .* \(also border, halo\); "
        r"versions may make other pixels: install that one to go on, or delete \.out\.ome\.zarr",
    ):
        enhance_to_file(job, output, resume=True)
    assert files(work) == before


def test_one_run_at_a_time(job: Job, tmp_path: Path) -> None:
    output = tmp_path / "out.ome.zarr"
    tried = []

    def told(what: str, done: int, total: int) -> None:
        if not tried:
            tried.append(done)
            for resume in (True, False):
                with pytest.raises(OutputError, match="another run is writing it"):
                    enhance_to_file(job, output, resume=resume)

    enhance_to_file(job, output, block=BLOCK, told=told)
    assert tried
    assert np.asarray(zarr.open_group(output, mode="r")["0"]).any(axis=(0, 1)).all()


def test_an_older_output_stays_until_the_new_one_is_there(job: Job, tmp_path: Path) -> None:
    for name in ("out.ome.zarr", "out.ome.tif"):
        output = tmp_path / name
        save_image(output, np.zeros((64, 64, 3), np.uint8), {"badge": "COMPUTED"}, None)
        mask = save_mark(output, np.ones((8, 8), bool), np.zeros((64, 64)), {}, None)
        before = files(output) if output.is_dir() else output.read_bytes()
        stopped_output = output.with_name(f".{name}.partial")
        stop = Stop()
        with pytest.raises(CancelledError):
            enhance_to_file(job, output, block=BLOCK, cancel=stop.token, told=stop)
        assert (files(output) if output.is_dir() else output.read_bytes()) == before
        assert mask.exists()
        enhance_to_file(job, output, resume=True)
        assert not mask.exists()
        assert (files(output) if output.is_dir() else output.read_bytes()) != before
        assert not stopped_output.exists()


def rewritten(change: Callable[[dict[str, Any]], object], line: int = 1) -> Callable[[Path], None]:
    """Edit a line of a journal."""

    def edit(work: Path) -> None:
        journal = work / "journal.jsonl"
        lines = journal.read_text().splitlines()
        values = json.loads(lines[line])
        change(values)
        lines[line] = json.dumps(values)
        journal.write_text("\n".join(lines) + "\n")

    return edit


EDITS: list[Callable[[Path], object]] = [
    lambda work: (work / "journal.jsonl").write_bytes(b""),
    lambda work: (work / "journal.jsonl").write_bytes(b"\xff\n"),
    lambda work: (work / "journal.jsonl").write_bytes(b"[" * 100_000 + b"\n"),
    rewritten(lambda head: head.update(journal=1), 0),
    rewritten(lambda head: head.update(side="wide"), 0),
    rewritten(lambda head: head.update(side=1000), 0),
    rewritten(lambda head: head.update(output_size=[10, 10]), 0),
    rewritten(lambda head: head.update(provenance=[]), 0),
    rewritten(lambda done: done.update(place=[7, 7])),
    rewritten(lambda done: done.update(place=[-1, 0])),
    rewritten(lambda done: done.update(seconds=float("nan"))),
    rewritten(lambda done: done.update(tally={"thesis": 1})),
    rewritten(lambda done: done["errors"].update(samples=-5)),
    rewritten(lambda done: done["errors"].update(model=10**400)),
    rewritten(lambda done: done.update(chunks="none")),
    lambda work: shutil.rmtree(work / "image.ome.zarr"),
    lambda work: (work / "image.ome.zarr" / "zarr.json").write_text("{"),
    lambda work: (work / "image.ome.zarr" / "0" / "zarr.json").unlink(),
]


def test_edited_state_is_refused_in_one_line(job: Job, tmp_path: Path) -> None:
    work = stopped(job, tmp_path / "out.ome.zarr")
    work.rename(tmp_path / "kept")
    for number, edit in enumerate(EDITS):
        shutil.copytree(tmp_path / "kept", work)
        edit(work)
        with pytest.raises(OutputError, match=r"^(Journal|Output|Image) .*start again\.$"):
            enhance_to_file(job, tmp_path / "out.ome.zarr", resume=True)
            pytest.fail(f"edit {number} was believed")
        shutil.rmtree(work)


def test_a_finished_image_is_looked_at_before_it_is_believed(job: Job, tmp_path: Path) -> None:
    output = tmp_path / "out.ome.zarr"
    enhance_to_file(job, output, block=BLOCK)
    shutil.copytree(output, tmp_path / "kept")
    record = output.with_name("out.ome.zarr.json")
    said = record.read_text()
    record.write_text(json.dumps(json.loads(said) | {"model": "of another run"}))
    chunk = output / "0" / "c" / "0" / "0" / "1"
    for damage in (
        chunk.unlink,
        lambda: chunk.write_bytes(b"short"),
        lambda: shutil.rmtree(output / "1"),
    ):
        damage()
        with pytest.raises(OutputError, match=r"there and not whole: .*Delete it to make it again"):
            enhance_to_file(job, output, resume=True)
        shutil.rmtree(output)
        shutil.copytree(tmp_path / "kept", output)
    assert enhance_to_file(job, output, resume=True).computed_tiles == 0
    assert json.loads(record.read_text()) == json.loads(said)
    tiff = tmp_path / "out.ome.tif"
    tiff.write_bytes(b"I")
    with pytest.raises(OutputError, match="not whole"):
        enhance_to_file(job, tiff, resume=True)
    other = dataclasses.replace(job, model=str(write_model(tmp_path, 2, seed=5)))
    with pytest.raises(OutputError, match="of another kind: model_sha256"):
        enhance_to_file(other, output, resume=True)


def write_zarr_slide(path: Path, *, changed: bool) -> Path:
    """Two of them differ in one tile, which their fingerprint does not look at."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 240, 1200), np.uint8)
    if changed:
        pixels[:, :60, 70:120] ^= 255
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    array = group.create_array("0", shape=pixels.shape, dtype="uint8", chunks=(3, 64, 64))
    array[:] = pixels
    axes = [{"name": "c", "type": "channel"}, *({"name": one, "type": "space"} for one in "yx")]
    transform = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    datasets = [{"path": "0", "coordinateTransformations": transform}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return path


def test_a_slide_that_differs_where_nobody_looked_is_another(job: Job, tmp_path: Path) -> None:
    slides = [write_zarr_slide(tmp_path / f"{n}.zarr", changed=bool(n)) for n in range(2)]
    jobs = [dataclasses.replace(job, slide=slide, mpp=0.25) for slide in slides]
    model, results = Engine(load_model(job.model), "cpu"), []
    request = EnhanceRequest(Region(0, 0, 240, 240), 2.0)
    prints = set()
    for slide_path in slides:
        with open_slide(slide_path, mpp=0.25) as slide:
            prints.add(slide.fingerprint)
            plan = make_plan(slide, model.model, request)
            results.append(list(model.run(slide, plan)))
            assert all(again.cached for again in model.run(slide, plan))
    assert len(prints) == 1  # else there is nothing to test
    assert not any(tile.cached for tile in results[1])
    output = tmp_path / "out.ome.zarr"
    work = stopped(jobs[0], output)
    before = files(work)
    with pytest.raises(OutputError, match="the slide has changed since its unfinished run began"):
        enhance_to_file(jobs[1], output, resume=True)
    assert files(work) == before
    for path in slides[0].rglob("*"):
        os.utime(path, (1e9, 1e9))  # copied, for one
    assert enhance_to_file(jobs[0], output, resume=True).resumed_blocks == 1
    with pytest.raises(OutputError, match="the slide has changed since"):
        enhance_to_file(jobs[1], output, resume=True)
    os.utime(slides[0] / "zarr.json", (2e9, 2e9))
    assert enhance_to_file(jobs[0], output, resume=True).computed_tiles == 0


def test_a_folder_that_others_put_there_is_not_worked_in(job: Job, tmp_path: Path) -> None:
    precious, output = tmp_path / "precious", tmp_path / "out.ome.zarr"
    precious.mkdir()
    (precious / "journal.jsonl").write_text("years of work")
    work = tmp_path / ".out.ome.zarr.partial"
    work.symlink_to(precious)
    for resume in (False, True):
        with pytest.raises(OutputError, match=r"\.partial, which is there and no folder"):
            enhance_to_file(job, output, resume=resume)
    work.unlink()
    work.mkdir()
    (work / "thesis").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds 'thesis', which this program did not write"):
        enhance_to_file(job, output)
    (work / ".napari-cwtnet").symlink_to(precious / "journal.jsonl")
    with pytest.raises(OutputError, match=r"\.napari-cwtnet is a link"):
        enhance_to_file(job, output)
    assert (precious / "journal.jsonl").read_text() == "years of work"
    assert (work / "thesis").exists()


def test_bad_words(job: Job, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="PNG cannot be written piece by piece"):
        enhance_to_file(job, tmp_path / "out.png")
    with pytest.raises(RequestError, match="Block of 1000 pixels: give a multiple of 1024"):
        enhance_to_file(job, tmp_path / "out.ome.zarr", block=1000)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1000))
    output = tmp_path / "out.ome.zarr"
    with pytest.raises(OutputError, match=r"^1200 × 240 pixels need .* GB left; .*no-space-check"):
        enhance_to_file(job, output)
    assert list(tmp_path.iterdir()) == []
    stop = Stop()
    with pytest.raises(CancelledError):
        enhance_to_file(job, output, block=BLOCK, space_check=False, cancel=stop.token, told=stop)
    with pytest.raises(OutputError, match="no-space-check"):
        enhance_to_file(job, output, resume=True)
    made = enhance_to_file(job, output, resume=True, space_check=False)
    assert made.resumed_blocks == 1


def test_a_disk_that_does_not_tell_is_not_taken_for_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = Size(2_000_000, 2_000_000)
    with pytest.raises(OutputError, match="GB left"):
        check_space(tmp_path, size, 0, tiff=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 0))
    check_space(tmp_path, size, 0, tiff=False)

    def unknown(_: Path) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(shutil, "disk_usage", unknown)
    check_space(tmp_path, size, 0, tiff=False)


def test_blocks_cover_the_image_once() -> None:
    layout = Layout(Size(9000, 5000), 2048, 2)
    seen = np.zeros((5000, 9000), np.uint8)
    places = []
    for block in layout.blocks():
        seen[block.y : block.y + block.height, block.x : block.x + block.width] += 1
        places.append(block.place)
    assert (seen == 1).all()
    assert places[:5] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]
    assert layout.uses(2040, 2040, 2050, 2050) == 4
    assert layout.uses(-5, 100, 3, 200) == 1


def test_workers_that_take_turns_compute_fewer_tiles_twice(slide_file: Path, job: Job) -> None:
    with JobContext(dataclasses.replace(job, region=None, downsample=1.0)) as context:
        plan = context.plan
    layout = lay_out(plan, BLOCK)
    pixels = TileOutput(np.zeros((1, 1, 3), np.uint8))

    def computed(blocks: list[Block], workers: int) -> int:
        kept = [BorderTiles() for _ in range(workers)]
        tiles = 0
        for number, block in enumerate(blocks):
            own = kept[number % workers]
            for tile in cut(plan, block).tiles:
                if own.take(tile.index) is None:
                    tiles += 1
                    own.keep(TileResult(tile, pixels), tile_uses(plan, layout, tile) - 1)
        return tiles

    blocks = list(layout.blocks())
    once, as_they_lie = computed(blocks, 1), computed(blocks, 2)
    assert once == len(plan.tiles)
    assert once < computed(for_workers(blocks, 2), 2) < once + 0.7 * (as_they_lie - once)


@pytest.mark.parametrize(("columns", "rows", "workers"), [(4, 4, 2), (10, 10, 16), (3, 3, 4)])
def test_most_blocks_follow_their_neighbour(columns: int, rows: int, workers: int) -> None:
    blocks = list(Layout(Size(BLOCK * columns, BLOCK * rows), BLOCK, columns).blocks())
    ordered = for_workers(blocks, workers)
    assert sorted(block.place for block in ordered) == sorted(block.place for block in blocks)
    follows = {second.place: first.place for first, second in itertools.pairwise(blocks)}
    apart = sum(
        follows.get(block.place) != ordered[number - workers].place
        for number, block in enumerate(ordered)
        if number >= workers
    )
    assert apart == 0


@pytest.mark.parametrize("workers", [1, 9, 20])
def test_few_blocks_stay_in_order(workers: int) -> None:
    blocks = list(Layout(Size(BLOCK * 3, BLOCK * 3), BLOCK, 3).blocks())
    assert for_workers(blocks, workers) == blocks
