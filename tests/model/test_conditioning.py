"""What a network is told of its input changes what it does, and nothing known is nothing told."""

from __future__ import annotations

import pytest
import torch

from napari_cwtnet.model import CwtNet, preset
from napari_cwtnet.model.conditioning import (
    LENGTH,
    degradation_tensor,
    degradation_vector,
    libjpeg_tables,
)
from napari_cwtnet.slides.degradation import UNKNOWN, Compression, Degradation, Kernel


def network(scale: int = 4, **changes: object) -> CwtNet:
    torch.manual_seed(0)
    settings = {"blocks": 2, "channels": 8, "conditioning": 8, "tile": 32} | changes
    made = CwtNet(preset("lite-2", scale, **settings)).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made


def test_nothing_known_is_all_zero() -> None:
    assert degradation_vector(UNKNOWN) == (0.0,) * LENGTH
    assert not degradation_tensor(UNKNOWN).any()
    assert degradation_vector(Degradation(compression=Compression("other"))) == (0.0,) * LENGTH


def test_every_part_shows_in_the_vector() -> None:
    known = Degradation.parse("box+sharpen0.5+noise2+jpeg75-420")
    vectors = {
        degradation_vector(known),
        *(degradation_vector(known.without(part)) for part in ("kernel", "noise", "compression")),
        degradation_vector(Degradation.parse("box+sharpen0.5+noise2+jpeg75-444")),
        degradation_vector(Degradation.parse("box+sharpen0.5+noise2+jpeg60-420")),
        degradation_vector(Degradation.parse("bicubic+sharpen0.5+noise2+jpeg75-420")),
        degradation_vector(Degradation.parse("box+noise2+jpeg75-420")),
        degradation_vector(Degradation(compression=Compression("jpeg2000", rate=1.0))),
        degradation_vector(Degradation(compression=Compression("jpeg2000", rate=2.0))),
    }
    assert len(vectors) == 10
    assert all(len(vector) == LENGTH for vector in vectors)
    assert all(-1.5 <= number <= 1.5 for vector in vectors for number in vector)


def test_a_quality_and_its_own_tables_are_the_same_to_the_network() -> None:
    by_quality = Degradation(Kernel("box"), compression=Compression("jpeg", 70, "420"))
    tables = libjpeg_tables(70)
    by_tables = Degradation(Kernel("box"), compression=Compression("jpeg", 70, "420", tables))
    assert degradation_vector(by_quality) == degradation_vector(by_tables)
    assert libjpeg_tables(50)[0][:6] == (16, 11, 12, 14, 12, 10)  # Annex K, zigzag order


def test_untrained_conditioning_changes_nothing() -> None:
    fresh = CwtNet(preset("lite-2", 2, blocks=1, channels=8, tile=32)).eval()
    torch.nn.init.normal_(fresh.tail.last.weight, std=0.1)
    lr = torch.rand(1, 3, 16, 16)
    known = degradation_tensor(Degradation.parse("box+jpeg75"))[None]
    with torch.inference_mode():
        assert torch.equal(fresh(lr).sr, fresh(lr, degradation=known).sr)


@pytest.mark.parametrize("with_reference", [False, True])
def test_what_is_told_changes_the_result(with_reference: bool) -> None:
    made = network()
    lr = torch.rand(2, 3, 16, 16)
    reference = torch.rand(2, 3, 32, 32) if with_reference else None
    known = degradation_tensor(Degradation.parse("box+jpeg75"), Degradation.parse("box+jpeg75"))
    with torch.inference_mode():
        nothing = made(lr, reference).sr
        zeros = made(lr, reference, degradation=torch.zeros(2, 2, LENGTH)).sr
        first = made(lr, reference, degradation=torch.stack([known, torch.zeros_like(known)])).sr
    assert torch.equal(nothing, zeros)
    assert (first[0] - nothing[0]).abs().max() > 1e-3
    assert torch.allclose(first[1], nothing[1], atol=1e-5)  # each patch has a vector of its own


def test_a_vector_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="degradation must be"):
        network()(torch.rand(1, 3, 16, 16), degradation=torch.zeros(1, LENGTH))


def test_without_a_reference_the_sr_branch_works_alone() -> None:
    made = network()
    lr, reference = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        alone = made(lr, record=True)
        both = made(lr, reference, record=True)
    assert (alone.wt, alone.reference, alone.blocks) == (None, None, ())
    assert alone.sr.shape == both.sr.shape == (1, 3, 64, 64)
    assert both.wt is not None
    assert both.wt.shape == (1, 12, 16, 16)
    assert len(both.blocks) == 2


def test_a_flat_reference_of_the_mean_colour_is_zero_to_the_branch() -> None:
    """LL enters less the mean, as LR does."""
    made = network()
    flat = torch.tensor(made.config.mean).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    assert made._scaled_bands(flat).abs().max() < 1e-5
