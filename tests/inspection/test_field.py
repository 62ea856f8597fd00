"""What is captured is what the network did, and what an enhancement shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine, EnhanceRequest, enhance
from napari_cwtnet.errors import CancelledError, RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import (
    attention,
    capture,
    images,
    matches_sentence,
    matches_within,
    self_ensemble_spread,
    survey,
)
from napari_cwtnet.inspection.attention import displacement
from napari_cwtnet.inspection.bands import prediction_maps, targets
from napari_cwtnet.inspection.trust import trust_names

SEARCHES = [
    {"search": "full"},
    {"search": "window", "window_radius": 3},
    {"search": "window", "window_radius": 5, "position_bias": 0.02},
    {"search": "aligned"},
]


def queries_and_keys(engine, part):
    """Q and K of every block for a tile, taken from the modules that make them."""
    seen, hooks = [], []
    network = engine.model.network
    for block in network.blocks:
        hooks += [
            module.register_forward_hook(lambda _m, _i, out: seen.append(out))
            for module in (block.sr, block.wt)
        ]
    with torch.inference_mode():
        network(
            *(torch.from_numpy(i).permute(2, 0, 1)[None] / 255 for i in (part.lr, part.reference))
        )
    for hook in hooks:
        hook.remove()
    arrays = [features[0].numpy().astype(np.float64) for features in seen]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def unfolded(features):
    """3 × 3 patches with zero padding, one row each: ``(h·w, 9·C)``."""
    _, height, width = features.shape
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1)))
    return np.array(
        [padded[:, y : y + 3, x : x + 3].ravel() for y in range(height) for x in range(width)]
    )


def relevance_matrix(query, key):
    """Every r(i, j) of Eq. 8."""
    rows, columns = unfolded(query), unfolded(key)
    lengths = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(columns, axis=1)[None, :]
    return rows @ columns.T / lengths


def allowed(config, height, width):
    """What is added to r before the argmax: -inf where the search may not look."""
    y, x = np.divmod(np.arange(height * width), width)
    dy, dx = y[None] - y[:, None], x[None] - x[:, None]
    if config.search == "full":
        return np.zeros(dy.shape)
    reach = config.window_radius if config.search == "window" else 0
    biased = -config.position_bias * np.hypot(dy, dx)
    return np.where(np.maximum(abs(dy), abs(dx)) <= reach, biased, -np.inf)


def in_bfloat16(features):
    return torch.from_numpy(features).bfloat16().double().numpy()


def check_attention(field, part, features, **tolerance) -> None:
    """Relevance and match of every block of a tile are those of the whole matrix over Q and K."""
    height, width = part.lr.shape[:2]
    for number, (query, key) in enumerate(features):
        matrix = relevance_matrix(query, key)
        index = (matrix + allowed(field.config, height, width)).argmax(1)
        best = np.take_along_axis(matrix, index[:, None], 1).reshape(height, width)
        rows, columns = np.divmod(index.reshape(height, width), width)
        y, x = np.indices((height, width))
        steps = np.stack((rows - y, columns - x), -1)
        here = (part.place.rows, part.place.columns)
        own = (part.place.tile_rows, part.place.tile_columns)
        assert field.relevance[number][here] == pytest.approx(best[own], **tolerance)
        # a tie within rounding may fall either way
        same = (field.displacement[number][here] == steps[own]).all(-1)
        assert same.mean() > 0.995


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: "-".join(map(str, s.values())))
def test_attention_is_the_definition(slide, make_engine, search) -> None:
    engine = make_engine(seed=3, **search)
    field = capture(slide, engine, EnhanceRequest(Region(10, 20, 80, 72), 2))
    assert field.plan.mode == "cross-scale"
    assert field.relevance.shape == (2, 36, 40)
    assert len(field.parts) > 1
    for part in field.parts:
        check_attention(field, part, queries_and_keys(engine, part), abs=2e-5)
    if search["search"] != "aligned":
        assert field.displacement.any()


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: "-".join(map(str, s.values())))
def test_attention_in_half_precision_is_the_definition_on_its_features(
    slide, make_engine, search
) -> None:
    engine = Engine(make_engine(seed=3, **search).model, "cpu", dtype="bfloat16")
    region = Region(10, 20, 80, 72)
    field = capture(slide, engine, EnhanceRequest(region, 2))
    direct = enhance(slide, region, 2, model=engine.model, dtype="bfloat16")
    assert np.array_equal(field.sr, direct.image)
    for part in field.parts:
        records = engine.infer(part.lr, part.reference, record=True).blocks
        features = [
            tuple(f[0].numpy().astype(np.float64) for f in (record.query, record.key))
            for record in records
        ]
        assert all(np.array_equal(f, in_bfloat16(f)) for pair in features for f in pair)
        # The network multiplies by S in bfloat16: half a unit of its eighth bit is lost at most.
        check_attention(field, part, features, rel=2**-8, abs=2e-5)


def test_every_pixel_has_an_owner_and_images_are_the_slide_s(slide, make_engine) -> None:
    engine = make_engine(seed=3)
    region = Region(10, 20, 140, 120)
    field = capture(slide, engine, EnhanceRequest(region, 2))
    owners = np.zeros(field.lr.shape[:2], int)
    for part in field.parts:
        owners[part.place.rows, part.place.columns] += 1
    assert (owners == 1).all()
    assert np.array_equal(field.lr, slide.read(region, 2))
    assert np.array_equal(field.reference, slide.read(region, 1))
    assert field.truth is None  # beyond native


@pytest.mark.parametrize(
    ("downsample", "reference"), [(2, "next"), (2, "none"), (4, "auto"), (1, "auto")]
)
def test_sr_has_the_bytes_of_an_enhancement(slide, make_engine, downsample, reference) -> None:
    engine = make_engine(seed=3)
    region = Region(33, 41, 96, 88)
    direct = enhance(
        slide,
        region,
        downsample,
        model=engine.model,
        reference=reference,
        dtype="float32",
        skip_background=False,
    )
    field = capture(slide, engine, EnhanceRequest(region, downsample, reference))
    assert np.array_equal(field.sr, direct.image)
    assert field.plan.mode == direct.mode
    assert (field.truth is None) == (downsample < 4)
    assert (field.stand_in is None) == (direct.mode == "cross-scale")
    same = field.provenance.keys() - {"time"}
    assert {k: field.provenance[k] for k in same} == {k: direct.provenance[k] for k in same}


def test_single_image_shows_wr_and_its_target(slide, make_engine) -> None:
    engine = make_engine(seed=3)
    region = Region(33, 41, 96, 88)
    field = capture(slide, engine, EnhanceRequest(region, 2, "none"))
    assert field.reference is None
    assert field.stand_in.shape == (88, 96, 3)
    finer = slide.read(region, 1).astype(float) / 255
    lh = (finer[0::2, 0::2] + finer[0::2, 1::2] - finer[1::2, 0::2] - finer[1::2, 1::2]) / 2
    assert field.target[:3] == pytest.approx(np.moveaxis(lh, -1, 0), abs=1e-6)
    assert field.predicted.shape == field.target.shape == (9, 44, 48)


def test_shares_of_matches(slide, make_engine) -> None:
    full = capture(
        slide, make_engine(seed=3, search="full"), EnhanceRequest(Region(0, 0, 72, 72), 2)
    )
    steps = full.displacement.reshape(-1, 2).astype(float)
    lengths = np.sqrt((steps**2).sum(1))
    shares = matches_within(full)
    assert shares == {n: pytest.approx((lengths <= n).mean()) for n in (0, 1, 4, 16)}
    assert 0 < shares[16] < 1
    assert matches_within(full, 2) != shares
    assert matches_sentence(full, 2).startswith("Block 2: ")
    aligned = capture(slide, make_engine(seed=3), EnhanceRequest(Region(0, 0, 72, 72), 2))
    assert matches_within(aligned) == {0: 1.0, 1: 1.0, 4: 1.0, 16: 1.0}
    assert "only the same place" in matches_sentence(aligned)
    assert not displacement(aligned, 1).any()
    assert attention(aligned) == pytest.approx((attention(aligned, 1) + attention(aligned, 2)) / 2)


def test_a_region_is_cut_to_the_slide_and_to_whole_pixels(slide, make_engine) -> None:
    field = capture(slide, make_engine(), EnhanceRequest(Region(-50, 250.5, 121, 500), 2))
    assert field.plan.region == Region(0, 250.5, 70, 68)
    assert field.sr.shape == (136, 140, 3)


def test_a_model_without_a_wt_branch_has_no_attention(slide, make_engine) -> None:
    field = capture(slide, make_engine(wt_branch=False), EnhanceRequest(Region(0, 0, 64, 64), 2))
    assert field.blocks == 0
    assert field.predicted is field.stand_in is None
    with pytest.raises(RequestError, match="has no attention: its SR branch works alone"):
        attention(field)


def test_an_sr_branch_that_works_alone_has_attention_with_a_reference(slide, make_engine) -> None:
    changes = {"wt_source": "none", "bands": ("LL", "LH", "HL", "HH"), "upsampler": "direct"}
    engine, region = make_engine(seed=3, **changes), Region(8, 16, 96, 80)
    alone = capture(slide, engine, EnhanceRequest(region, 2, "none"))
    assert alone.blocks == 0
    assert alone.predicted is alone.target is alone.stand_in is alone.reference is None
    assert list(images(alone)) == ["lr", "sr"]
    assert trust_names(alone) == ["consistency", "spread"]
    assert "no attention without a reference: its SR branch" in matches_sentence(alone)
    with pytest.raises(RequestError, match="no attention without a reference"):
        attention(alone)
    assert self_ensemble_spread(alone, engine).mean() > 0.1
    found = survey(slide, engine, EnhanceRequest(region, 2, "none"))
    assert not found.attention
    assert {one.name[:4] for one in found.bands} == {"band"}
    with pytest.raises(RequestError, match="no attention without a reference"):
        survey(slide, engine, EnhanceRequest(region, 2, "none"), place=(20, 30))

    both = capture(slide, engine, EnhanceRequest(region, 2))
    assert both.blocks == 2
    assert both.predicted.shape == both.target.shape == (12, 40, 48)
    finer = slide.read(region, 1).astype(float)
    low = (finer[0::2, 0::2] + finer[0::2, 1::2] + finer[1::2, 0::2] + finer[1::2, 1::2]) / 2
    assert targets(both)["LL"] == pytest.approx(np.moveaxis(low, -1, 0), abs=1e-3)
    shown = prediction_maps(both)[:2]
    assert [one.name for one in shown] == ["wt-predicted-LL", "wt-target-LL"]
    assert [(one.low, one.high) for one in shown] == [(0, 510)] * 2


@pytest.mark.parametrize(
    ("region", "downsample", "words"),
    [
        (Region(0, 0, 20, 200), 2, "10 × 100 LR pixels is too small.*16 × 16.*32 × 32 level-0"),
        (Region(900, 0, 64, 64), 2, "outside the slide"),
    ],
)
def test_absurd_fields(slide, make_engine, region, downsample, words) -> None:
    with pytest.raises(RequestError, match=words):
        capture(slide, make_engine(), EnhanceRequest(region, downsample))


def test_too_large_a_field(slide, make_engine, monkeypatch) -> None:
    monkeypatch.setattr("napari_cwtnet.inspection.field.MAX_SIDE", 128)
    with pytest.raises(RequestError, match=r"400 × 320 LR pixels is too large.*128 × 128"):
        capture(slide, make_engine(), EnhanceRequest(Region(0, 0, 400, 320), 1))


def test_absurd_blocks(slide, make_engine) -> None:
    field = capture(slide, make_engine(), EnhanceRequest(Region(0, 0, 64, 64), 2))
    for block in (0, 3):
        with pytest.raises(RequestError, match=f"Block {block} does not exist.*blocks 1 to 2"):
            attention(field, block)


def test_cancelled_between_tiles(slide, make_engine) -> None:
    token, seen = CancelToken(), []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            token.cancel("enough")

    with pytest.raises(CancelledError, match="enough"):
        capture(
            slide,
            make_engine(),
            EnhanceRequest(Region(0, 0, 300, 300), 2),
            cancel=token,
            progress=progress,
        )
    assert [done for done, _ in seen] == [1, 2]
    assert seen[0][1] > 2
