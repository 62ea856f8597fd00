"""One query's relevance, and the patches that are most like it."""

from __future__ import annotations

import numpy as np
import pytest

from inspection.test_field import allowed, queries_and_keys, relevance_matrix
from napari_cwtnet.enhancement import Engine, EnhanceRequest
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import capture, matches_within, probe
from napari_cwtnet.model import load_model

REGION = Region(10, 20, 100, 80)
PLACES = [(11, 21), (59.5, 60.2), (109.9, 99.9), (71, 33)]


@pytest.mark.parametrize("place", PLACES)
def test_the_maximum_is_where_h_points(slide, make_engine, place) -> None:
    engine = make_engine(seed=3, search="full")
    field = capture(slide, engine, EnhanceRequest(REGION, 2))
    row, column = int((place[1] - 20) // 2), int((place[0] - 10) // 2)
    for block in (1, 2):
        found = probe(field, engine, *place, block=block)
        step = field.displacement[block - 1, row, column]
        assert found.relevance.max() == pytest.approx(
            field.relevance[block - 1, row, column], abs=1e-5
        )
        top = np.unravel_index(found.relevance.argmax(), found.relevance.shape)
        # the middle of the best patch, from the query's own
        x = found.region.x + (top[1] + 0.5) * 2
        y = found.region.y + (top[0] + 0.5) * 2
        assert (x - (10 + 2 * column + 1), y - (20 + 2 * row + 1)) == (2 * step[1], 2 * step[0])
        assert found.match.box == found.best[0].box == Region(x - 3, y - 3, 6, 6)
        assert found.rank == 1


def test_the_map_is_a_row_of_the_matrix(slide, make_engine) -> None:
    engine = make_engine(seed=3)
    field = capture(slide, engine, EnhanceRequest(REGION, 2))
    x, y = 61, 47
    row, column = (y - 20) // 2, (x - 10) // 2
    found = probe(field, engine, x, y, block=2, count=7)
    part = next(p for p in field.parts if p.place.owns(row, column))
    assert found.region == part.tile.read
    here = row - part.place.rows.start + part.place.tile_rows.start
    there = column - part.place.columns.start + part.place.tile_columns.start
    query, key = queries_and_keys(engine, part)[1]
    height, width = part.lr.shape[:2]
    want = relevance_matrix(query, key)[here * width + there].reshape(height, width)
    assert found.relevance == pytest.approx(want, abs=1e-5)
    assert found.match.relevance == pytest.approx(want[here, there], abs=1e-5)  # aligned
    assert "compares only the same place" in found.sentence
    assert f"More alike: {found.rank - 1:,} of " in found.sentence
    assert found.rank == 1 + (want > want[here, there] + 1e-6).sum()
    values = [patch.relevance for patch in found.best]
    assert len(values) == 7
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(want.max(), abs=1e-5)
    for number, patch in enumerate(found.best):
        assert (patch.box.width, patch.box.height) == (6, 6)
        assert not any(patch.box.intersection(other.box) for other in found.best[:number])


def test_the_model_for_looking_inside_matches_what_is_most_alike_in_its_window(slide) -> None:
    """Its match is the argmax of the whole matrix, less the bias, where the window allows it."""
    engine = Engine(load_model("cwtnet-research-x4"), "cpu", dtype="float32")
    config = engine.model.config
    assert config.search == "window"
    field = capture(slide, engine, EnhanceRequest(Region(10, 20, 60, 48), 2))
    (part,) = field.parts
    height, width = part.lr.shape[:2]
    moved = 0
    records = engine.infer(part.lr, part.reference, part.known, record=True).blocks
    for block, record in enumerate(records, start=1):
        query, key = (f[0].numpy().astype(np.float64) for f in (record.query, record.key))
        matrix = relevance_matrix(query, key)
        best = (matrix + allowed(config, height, width)).argmax(1)
        for x, y in ((11, 21), (35.5, 40.2), (69.9, 67.9)):
            row, column = int(y - part.tile.read.y) // 2, int(x - part.tile.read.x) // 2
            here = row * width + column
            found = probe(field, engine, x, y, block=block)
            down, right = divmod(int(best[here]), width)
            assert found.match.box == Region(
                part.tile.read.x + 2 * (right - 1), part.tile.read.y + 2 * (down - 1), 6, 6
            )
            assert found.relevance == pytest.approx(matrix[here].reshape(height, width), abs=1e-5)
            assert found.match.relevance == pytest.approx(matrix[here, best[here]], abs=1e-5)
            assert not found.aligned
        moved += int((best != np.arange(height * width)).sum())
    assert moved
    assert 0 < matches_within(field)[0] < 1


def test_absurd_probes(slide, make_engine) -> None:
    engine = make_engine(seed=3)
    field = capture(slide, engine, EnhanceRequest(REGION, 2))
    with pytest.raises(RequestError, match="Place 500,20 is outside the field 10,20,100,80"):
        probe(field, engine, 500, 20)
    for place in ((9.9, 50), (110, 50), (50, 100), (float("nan"), 50), (50, float("-inf"))):
        with pytest.raises(RequestError, match="outside the field"):
            probe(field, engine, *place)
    with pytest.raises(RequestError, match="Block 9"):
        probe(field, engine, 50, 50, block=9)
    with pytest.raises(RequestError, match=r"other weights.*capture it again"):
        probe(field, make_engine(seed=4), 50, 50)
