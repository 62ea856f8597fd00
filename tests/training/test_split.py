"""Training and validation share no place, and a receptive field lies between them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import CwtNet, NetworkConfig
from napari_cwtnet.training.recipe import SlideSource
from napari_cwtnet.training.split import Split, refuse_near, split_by_place, subtract
from training.conftest import TINY

BOUNDS = Region(0, 0, 900, 600)


def split(**fields: Any) -> Split:
    source = SlideSource.model_validate({"path": "a.svs"} | fields)
    return split_by_place(source, "a.svs", BOUNDS, 40)


def test_right_third_is_held_out_behind_a_guard_band() -> None:
    made = split()
    assert made.held_out == (Region(600, 0, 300, 600),)
    assert made.training == (Region(0, 0, 560, 600),)
    assert made.guard == 40


def test_share_of_each_region() -> None:
    made = split(regions=[(100, 100, 200, 50), (500, 300, 600, 100)], held_out_share=0.25)
    assert made.held_out == (Region(250, 100, 50, 50), Region(800, 300, 100, 100))
    assert made.training == (Region(100, 100, 110, 50), Region(500, 300, 260, 100))


@pytest.mark.parametrize(("share", "parts"), [(0, (1, 0)), (1, (0, 1))])
def test_whole_slide_for_one_purpose(share: float, parts: tuple[int, int]) -> None:
    made = split(held_out_share=share)
    assert (len(made.training), len(made.held_out)) == parts


def test_box_in_the_middle_leaves_a_frame() -> None:
    made = split(held_out=[(400, 200, 100, 100)])
    assert sum(part.width * part.height for part in made.training) == 900 * 600 - 180 * 180
    refuse_near("a.svs", made.training, made.held_out, 40)


@pytest.mark.parametrize(
    ("region", "words"),
    [((350, 0, 100, 100), "but they overlap"), ((250, 0, 120, 100), "closer than the guard band")],
)
def test_leak_is_refused_by_name(region: tuple[float, ...], words: str) -> None:
    with pytest.raises(TrainingError) as caught:
        split(regions=[(0, 300, 90, 90), region], held_out=[(400, 0, 200, 200)])
    message = str(caught.value)
    assert message.startswith(f"Slide 'a.svs': region {Region(*region)} is trained on and region ")
    assert "region 400,0,200,200 is held out" in message
    assert words in message
    assert message.endswith("; keep 40 level-0 pixels between them.")


def test_region_beside_the_slide_is_refused() -> None:
    with pytest.raises(
        TrainingError, match=r"Region 900,0,5,5 is outside slide 'a\.svs' of 900 × 60"
    ):
        split(regions=[(900, 0, 5, 5)])


@pytest.mark.parametrize("hole", [(3, 3, 2, 2), (-5, 3, 99, 2), (8, 8, 9, 9), (0, 0, 10, 10)])
def test_rest_of_a_subtraction_covers_what_is_left_once(hole: tuple[float, ...]) -> None:
    whole, cut = Region(0, 0, 10, 10), Region(*hole)
    parts = subtract(whole, cut)
    inside = whole.intersection(cut)
    assert inside is not None
    area = sum(part.width * part.height for part in parts)
    assert area == 100 - inside.width * inside.height
    for index, part in enumerate(parts):
        assert part.intersection(cut) is None
        assert all(part.intersection(other) is None for other in parts[index + 1 :])


@pytest.mark.parametrize(
    "changes",
    [
        {"wt_branch": False},
        {"wt_source": "lr_up"},
        {"wt_source": "lr_up", "search": "window", "window_radius": 2},
        {"wt_source": "lr_up", "value": "up_down"},
        {"scale": 4, "wt_source": "lr_up", "blocks": 2},
        {"skip": "finest", "wt_source": "lr_up", "search": "aligned", "sr_residual_blocks": 3},
    ],
    ids=str,
)
def test_no_pixel_beyond_the_receptive_radius_matters(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    fields = TINY | {"halo": 8, "search": "aligned"} | changes
    config = NetworkConfig.model_validate(fields)
    radius, scale = config.receptive_radius(), config.scale
    side = 2 * radius + 9
    network = CwtNet(config).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.2)
    lr = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    middle = side // 2 * scale
    network(lr).sr[0, :, middle : middle + scale, middle : middle + scale].sum().backward()
    rows = lr.grad.abs().sum((0, 1, 3)).nonzero()
    reach = int((rows - side // 2).abs().max())
    assert 0 < reach <= radius
    assert reach > radius / 3  # an upper bound, but not an idle one
