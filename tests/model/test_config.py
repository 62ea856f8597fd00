"""The schema refuses what cannot be built, and the presets differ as they should."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from napari_cwtnet.model import NetworkConfig, preset


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scale", 3),
        ("blocks", 0),
        ("blocks", 65),
        ("channels", 12),
        ("channels", 520),
        ("bands", ()),
        ("bands", ("HG",)),
        ("search", "nearest"),
        ("window_radius", 0),
        ("position_bias", -0.1),
        ("position_bias", math.inf),
        ("value", "up"),
        ("skip", "bicubic"),
        ("mean", (0.5, 0.5)),
        ("mean", (0.5, 0.5, math.nan)),
        ("tile", 63),
        ("halo", 65),
        ("wr_reduction", 0),
    ],
)
def test_value_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        NetworkConfig.model_validate({field: value})
    assert caught.value.errors()[0]["loc"][0] == field


def test_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="depth"):
        NetworkConfig.model_validate({"depth": 3})


def test_tile_must_have_a_core() -> None:
    with pytest.raises(ValidationError, match="tile 32 must exceed twice the halo 16"):
        NetworkConfig(tile=32, halo=16)
    assert NetworkConfig(tile=34, halo=16).tile == 34


def test_config_is_frozen() -> None:
    config = NetworkConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.scale = 4  # type: ignore[misc]


def test_json_round_trip() -> None:
    config = preset("house", 4, position_bias=0.1, mean=(0.1, 0.2, 0.3))
    assert NetworkConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("name", "scale", "wt", "wr"),
    [
        ("paper", 2, 2, 4),
        ("paper", 4, 4, 8),
        ("paper", 8, 8, 16),
        ("paper-octave", 2, 2, 4),
        ("paper-octave", 4, 3, 6),
        ("paper-octave", 8, 4, 8),
        ("house", 8, 4, 8),
        ("lite", 8, 2, 4),
    ],
)
def test_depth_of_the_wt_branch_and_wr(name: str, scale: int, wt: int, wr: int) -> None:
    config = preset(name, scale)
    assert (config.scale, config.wt_residual_blocks, config.wr_blocks) == (scale, wt, wr)


def test_paper_and_house_differ_where_evidence_says_so() -> None:
    paper, house = preset("paper", 2), preset("house", 2)
    assert (paper.bands, paper.search, paper.skip) == (("HH",), "full", "none")
    assert (house.bands, house.search, house.skip) == (("LH", "HL", "HH"), "aligned", "source")
    assert (paper.blocks, paper.channels) == (house.blocks, house.channels) == (12, 64)
    assert (preset("lite", 2).blocks, preset("lite", 2).channels) == (4, 32)


def test_changes_go_over_the_preset() -> None:
    assert preset("lite", 4, channels=16, skip="lr").channels == 16


def test_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"preset 'big' is unknown; .*paper, paper-octave, house"):
        preset("big", 2)


def test_preset_refuses_a_scale_that_is_no_octave() -> None:
    with pytest.raises(ValidationError, match="scale"):
        preset("paper", 3)
