"""What a reference that is out of register costs, and what brings its detail back.

Usage: ``python tools/registration_study.py --data FOLDER --output FOLDER [--minutes 3]``

References of ×4 fields are shifted (pixels of the reference) and turned. All arms begin with
the shipped ``cwtnet-lite-x4``; those that train get equal time on displaced references:

* single-image: the reference is left out;
* aligned: as shipped, and trained further;
* window: hard attention within ±4 LR pixels, trained further;
* put back exactly: the true displacement is undone, which interpolates the reference twice;
* phase correlation: the shift of the field is measured and undone, then aligned as shipped;
* least squares: an affine map of the field is fitted to the pixels and undone, then the same;
* encoder: one encoder for both, trained by a contrastive loss on known displacements; each pixel
  takes its own match, or one affine map is fitted to all; then aligned as shipped;
* candidates: detail that the field shows one octave down elsewhere, found by patches of the
  reference among those of LR and fused by a small head; its control has the head and no detail.

``--shifts 30`` instead makes that many pyramids of the tested images, their coarser level up to
9 pixels beside its place, lossless or JPEG 75 or 50, and prints how far the program is off.

One line a run goes to ``runs.csv``; runs that have one are not done again. ``table.md`` has mean
gains over bicubic of LR (PSNR, dB), with their range over the seeds.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as spline_shift
from skimage.registration import phase_cross_correlation
from tifffile import TiffWriter
from torch import Tensor, nn

from napari_cwtnet.evaluation import chosen_images
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import load_model
from napari_cwtnet.model.blocks import bicubic
from napari_cwtnet.model.network import CwtNet
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.degradation import Degradation
from napari_cwtnet.slides.degrade import degrade
from napari_cwtnet.training.data import load_data
from napari_cwtnet.training.fields import Batch, Field, PatchSampler, batch_of, degraded_as
from napari_cwtnet.training.recipe import Recipe, load_recipe, shipped_recipes

MODEL = "cwtnet-lite-x4"
SPECS = ("bicubic", "box+jpeg75-420")
ERRORS = ((0.0, 0.0), (0.25, 0.0), (0.5, 0.0), (1.0, 0.0), (2.0, 0.0), (4.0, 0.0), (2.0, 1.5))
"""Shift in pixels of the reference, and turn in degrees."""
REACH = 6
"""Of the encoder's matches, pixels of the reference."""
SIDE = 96
"""Of test fields, LR pixels."""
BORDER = 40
"""SR pixels that are not measured."""
IMAGES = 3
"""Tested images of each source."""
Sr = Callable[[Batch], Tensor]


def displaced(images: Tensor, shift: Tensor, degrees: Tensor, *, back: bool = False) -> Tensor:
    """Square images ``(N, 3, H, H)`` moved by ``(N, 2)`` pixels (x, y) and turned, or put back."""
    angle = torch.deg2rad(degrees)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    move = (2 * shift / images.shape[-1])[:, :, None]
    if back:
        turn = turn.transpose(1, 2)
        move = -turn @ move
    return resampled(images, torch.cat([turn, move], 2))


def resampled(images: Tensor, maps: Tensor) -> Tensor:
    """Images read at the places of affine maps ``(N, 2, 3)`` in -1..1."""
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return _read(images, grid)


def _read(images: Tensor, grid: Tensor) -> Tensor:
    read = F.grid_sample(
        images, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return read.clamp(0, 1)


def drawn_displacements(count: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Up to 4 px both ways and 3°; one reference in five is in place."""
    moved = random.random(count) < 0.8
    shift = random.uniform(-4, 4, (count, 2)) * moved[:, None]
    turned = moved & (random.random(count) < 0.3)
    degrees = random.uniform(-3, 3, count) * turned
    return torch.from_numpy(shift).float(), torch.from_numpy(degrees).float()


def with_reference(batch: Batch, reference: Tensor | None) -> Tensor:
    """Arguments shared by all arms that call the shipped network."""
    return super_resolved(shipped(), batch, reference)


def super_resolved(network: CwtNet, batch: Batch, reference: Tensor | None) -> Tensor:
    """SR of a batch with some reference."""
    sr: Tensor = network(batch.lr, reference, degradation=batch.degradation).sr
    return sr


@cache
def shipped() -> CwtNet:
    """The network that all arms begin with."""
    network = load_model(MODEL).network
    assert isinstance(network, CwtNet)
    return network


def phase_registered(batch: Batch) -> Tensor:
    """The reference with the shift undone that phase correlation measures."""
    enlarged = bicubic(batch.lr, 2).mean(1)
    shifts = [
        phase_cross_correlation(one.numpy(), other.numpy(), upsample_factor=20)[0][::-1]
        for one, other in zip(enlarged, batch.reference.mean(1), strict=True)
    ]
    shift = torch.from_numpy(np.array(shifts)).float()
    return displaced(batch.reference, -shift, torch.zeros(len(shift)))


def least_squares(batch: Batch) -> Tensor:
    """The reference put back by an affine map: Gauss-Newton steps on LR, from phase correlation.

    After Lucas and Kanade (1981); both images are blurred, so that kernels and JPEG matter little.
    """
    maps = []
    for lr, reference in zip(batch.lr, batch.reference, strict=True):
        target = gaussian_filter(lr.mean(0).numpy(), 1.0)
        side = len(target)
        shift = phase_cross_correlation(
            bicubic(lr[None], 2)[0].mean(0).numpy(), reference.mean(0).numpy(), upsample_factor=4
        )[0][::-1]
        current = torch.eye(2, 3)
        current[:, 2] = torch.from_numpy(-2 * shift / (2 * side)).float()
        x, y = (places(side, side) * 2 / side).numpy()
        inner = (slice(4, -4), slice(4, -4))
        for _ in range(10):
            moved = resampled(reference[None], current[None])
            made = gaussian_filter(F.avg_pool2d(moved, 2)[0].mean(0).numpy(), 1.0)
            down, right = np.gradient(made)
            slopes = np.stack([right * x, right * y, right, down * x, down * y, down])
            rows_of = slopes[(slice(None), *inner)].reshape(6, -1).T
            step = np.linalg.lstsq(rows_of, (target - made)[inner].ravel(), rcond=None)[0]
            current = current + torch.from_numpy(step.reshape(2, 3) * 2 / side).float()
        maps.append(current)
    return resampled(batch.reference, torch.stack(maps))


class Encoder(nn.Module):
    """Features for matching, on the reference's grid: ``(N, 3, H, W)`` to ``(N, 16, H, W)``."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 24), (24, 24), (24, 24), (24, 16)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, images: Tensor) -> Tensor:
        """Of unit length at each pixel."""
        return F.normalize(self.layers(4 * (images - images.mean((2, 3), keepdim=True))), dim=1)

    def scores(self, batch: Batch, reference: Tensor) -> Tensor:
        """Similarity of LR's pixels to the reference's within reach: ``(N, (2R+1)², H, W)``."""
        query = self(bicubic(batch.lr, 2))
        key = F.pad(self(reference), [REACH] * 4)
        height, width = query.shape[-2:]
        found = [
            (query * key[..., y : y + height, x : x + width]).sum(1)
            for y in range(2 * REACH + 1)
            for x in range(2 * REACH + 1)
        ]
        return torch.stack(found, 1) / 0.07

    def matches(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Displacement ``(N, 2, H, W)`` (x, y), to parts of a pixel, and confidence in 0..1."""
        chances = self.scores(batch, batch.reference).softmax(1)
        n, _, height, width = chances.shape
        side = 2 * REACH + 1
        best = chances.argmax(1)
        steps = torch.arange(side) - REACH
        y, x = steps.repeat_interleave(side), steps.repeat(side)
        near = (y.view(1, -1, 1, 1) - y[best][:, None]).abs() <= 1
        near &= (x.view(1, -1, 1, 1) - x[best][:, None]).abs() <= 1
        kept = chances * near
        total = kept.sum(1, keepdim=True)
        moved = [(kept * s.view(1, -1, 1, 1)).sum(1, keepdim=True) / total for s in (x, y)]
        return torch.cat(moved, 1), total.view(n, 1, height, width)


def places(height: int, width: int) -> Tensor:
    """Pixel centres, ``(2, H, W)`` (x, y), from the middle of the image."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x - (width - 1) / 2, y - (height - 1) / 2]).float()


def true_displacements(shift: Tensor, degrees: Tensor, side: int) -> Tensor:
    """Where in a displaced reference each pixel has gone, ``(N, 2, H, W)``."""
    angle = -torch.deg2rad(degrees)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    middle = places(side, side)
    gone = torch.einsum("nij,jhw->nihw", turn, middle) - (turn @ shift[:, :, None])[..., None]
    return gone - middle


def own_matches(encoder: Encoder, batch: Batch) -> Tensor:
    """The reference with each pixel read at its own match."""
    moved, _ = encoder.matches(batch)
    height, width = moved.shape[-2:]
    grid = (places(height, width) + moved).permute(0, 2, 3, 1) * 2 / torch.tensor([width, height])
    return _read(batch.reference, grid)


def fitted(encoder: Encoder, batch: Batch) -> Tensor:
    """The reference put back by one affine map fitted to all matches, outliers weighed down."""
    moved, confidence = encoder.matches(batch)
    height, width = moved.shape[-2:]
    ones = torch.ones(1, height, width)
    base = torch.cat([places(height, width) * 2 / width, ones]).flatten(1).T.double()
    maps = []
    for field, weight in zip(moved.flatten(2), confidence.flatten(1), strict=True):
        target = (field.T * 2 / width).double()
        weights = weight.double()
        for _ in range(5):
            scaled = base * weights[:, None]
            solution = torch.linalg.solve(base.T @ scaled, scaled.T @ target)
            off = (target - base @ solution).norm(dim=1) * width / 2
            weights = weight.double() / (1 + (off / 0.5) ** 2)
        maps.append(solution.T.float() + torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
    return resampled(batch.reference, torch.stack(maps))


class Fusion(nn.Module):
    """Adds to SR what detail of elsewhere in the field tells; begins by adding nothing."""

    def __init__(self, *, searches: bool) -> None:
        super().__init__()
        self.searches = searches
        self.first, self.middle = nn.Conv2d(7, 24, 3, padding=1), nn.Conv2d(24, 24, 3, padding=1)
        self.last = nn.Conv2d(24, 3, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, sr: Tensor, batch: Batch) -> Tensor:
        """SR, fused."""
        detail, likeness = candidates(batch)
        share = float(self.searches)
        entering = torch.cat([sr - 0.5, share * 8 * detail, share * likeness], 1)
        added: Tensor = self.last(F.leaky_relu(self.middle(F.leaky_relu(self.first(entering)))))
        return sr + added


def candidates(batch: Batch) -> tuple[Tensor, Tensor]:
    """Detail one octave beyond the reference, from the field's own, and likeness in 0..1.

    Queries are 5 × 5 patches of the reference, keys those of LR; the value is what the reference
    has at the match beyond LR. Four best matches are averaged by likeness.
    """
    query, key = (_patches(images) for images in (batch.reference, batch.lr))
    beyond = F.pixel_unshuffle(batch.reference - bicubic(batch.lr, 2), 2).flatten(2)
    found = (query.transpose(1, 2) @ key).topk(4, dim=2)
    weights = (found.values / 0.03).softmax(2)
    n, _, height, width = batch.reference.shape
    index = found.indices.flatten(1)[:, None].expand(-1, beyond.shape[1], -1)
    values = beyond.gather(2, index).view(n, beyond.shape[1], -1, 4)
    detail = (values * weights[:, None]).sum(3).view(n, -1, height, width)
    likeness = found.values[..., 0].view(n, 1, height, width)
    return F.pixel_shuffle(detail, 2), F.interpolate(likeness, scale_factor=2.0)


def _patches(images: Tensor) -> Tensor:
    patches = F.unfold(F.pad(images, [2] * 4, mode="reflect"), 5)
    patches = patches.view(len(images), 3, 25, -1)
    return F.normalize((patches - patches.mean(2, keepdim=True)).flatten(1, 2), dim=1)


def trained(
    module: nn.Module,
    loss_of: Callable[[Batch, np.random.Generator], Tensor],
    sampler: PatchSampler,
    *,
    rate: float,
    seconds: float,
    seed: int,
) -> int:
    """Train by Adam for a time, the rate on a cosine of it; the number of steps."""
    random = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(module.parameters(), lr=rate)
    began, steps = time.process_time(), 0
    while (share := (time.process_time() - began) / seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 + math.cos(math.pi * share)) / 2
        loss = loss_of(sampler.batch(8, random), random)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 0.1)
        optimiser.step()
        steps += 1
    module.eval()
    return steps


def network_arm(window: bool, sampler: PatchSampler, seconds: float, seed: int) -> tuple[Sr, int]:
    """The whole network, trained further on displaced references."""
    changes = {"search": "window", "window_radius": 4, "position_bias": 0.0} if window else {}
    network = CwtNet(shipped().config.model_copy(update=changes))
    network.load_state_dict(shipped().state_dict())
    network.train()

    def loss_of(batch: Batch, random: np.random.Generator) -> Tensor:
        moved = displaced(batch.reference, *drawn_displacements(len(batch.lr), random))
        return F.l1_loss(super_resolved(network, batch, moved), batch.truth)

    steps = trained(network, loss_of, sampler, rate=2e-4, seconds=seconds, seed=seed)
    return lambda b: super_resolved(network, b, b.reference), steps


def encoder_arms(sampler: PatchSampler, seconds: float, seed: int) -> tuple[Encoder, int]:
    """An encoder trained to say where each pixel of LR is in the reference (InfoNCE)."""
    torch.manual_seed(seed)
    encoder = Encoder()

    def loss_of(batch: Batch, random: np.random.Generator) -> Tensor:
        shift, degrees = drawn_displacements(len(batch.lr), random)
        scores = encoder.scores(batch, displaced(batch.reference, shift, degrees))
        wanted = true_displacements(shift, degrees, scores.shape[-1]).round().long() + REACH
        inside = ((wanted >= 0) & (wanted <= 2 * REACH)).all(1)
        labels = torch.where(inside, wanted[:, 1] * (2 * REACH + 1) + wanted[:, 0], -100)
        edge = 8
        return F.cross_entropy(
            scores[..., edge:-edge, edge:-edge], labels[..., edge:-edge, edge:-edge]
        )

    return encoder, trained(encoder, loss_of, sampler, rate=2e-3, seconds=seconds, seed=seed)


def fusion_arm(searches: bool, sampler: PatchSampler, seconds: float, seed: int) -> tuple[Sr, int]:
    """The shipped network, frozen, and a head behind it; references stay in register."""
    torch.manual_seed(seed)
    fusion = Fusion(searches=searches)

    def loss_of(batch: Batch, _: np.random.Generator) -> Tensor:
        with torch.no_grad():
            sr = with_reference(batch, batch.reference)
        return F.l1_loss(fusion(sr, batch), batch.truth)

    steps = trained(fusion, loss_of, sampler, rate=1e-3, seconds=seconds, seed=seed)
    return lambda b: fusion(with_reference(b, b.reference), b), steps


def arms_of(seed: int, sampler: PatchSampler, seconds: float) -> dict[str, Callable[[], Any]]:
    """What makes each arm; those without seeds only for the first."""
    fixed: dict[str, Callable[[], Any]] = {
        "single-image": lambda: {"": (lambda b: with_reference(b, None), 0)},
        "aligned, as shipped": lambda: {"": (lambda b: with_reference(b, b.reference), 0)},
        "put back exactly": lambda: {"": (None, 0)},
        "phase correlation": lambda: {"": (lambda b: with_reference(b, phase_registered(b)), 0)},
        "least squares": lambda: {"": (lambda b: with_reference(b, least_squares(b)), 0)},
    }

    def encoders() -> dict[str, tuple[Sr, int]]:
        encoder, steps = encoder_arms(sampler, seconds, seed)
        return {
            ", own matches": (lambda b: with_reference(b, own_matches(encoder, b)), steps),
            ", one map fitted": (lambda b: with_reference(b, fitted(encoder, b)), steps),
        }

    seeded: dict[str, Callable[[], Any]] = {
        "encoder": encoders,
        "aligned, trained": lambda: {"": network_arm(False, sampler, seconds, seed)},
        "window, trained": lambda: {"": network_arm(True, sampler, seconds, seed)},
        "candidates": lambda: {"": fusion_arm(True, sampler, seconds, seed)},
        "candidates, control": lambda: {"": fusion_arm(False, sampler, seconds, seed)},
    }
    return (fixed if seed == 0 else {}) | seeded


def main() -> None:
    """Do what is not yet done, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shifts", type=int, default=0)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    recipe = load_recipe(shipped_recipes()[MODEL])
    fields = list(test_fields(recipe, arguments.data))
    if arguments.shifts:
        all_off = list(shifts_off(recipe, arguments.data, arguments.output, arguments.shifts))
        off = [one for one in all_off if one is not None]
        print(
            f"{len(off)} of {len(all_off)} measured, off by {statistics.median(off):.3f} px in the "
            f"median, {max(off):.3f} at most"
        )
        return
    data = load_data(recipe, arguments.data, None)
    sampler = PatchSampler(data.training, recipe.scale, 32, recipe.degradation)
    runs = arguments.output / "runs.csv"
    done = {(row["family"], row["seed"]) for row in rows(runs)}
    for seed in range(arguments.seeds):
        for family, make in arms_of(seed, sampler, 60 * arguments.minutes).items():
            if (family, str(seed)) in done:
                continue
            found = []
            for suffix, (arm, steps) in make().items():
                for spec in SPECS:
                    for error in ERRORS:
                        gain = measured(arm, fields, spec, error)
                        found.append([family, family + suffix, seed, steps, spec, *error, gain])
            with runs.open("a", newline="") as file:
                csv.writer(file).writerows(found)
            (arguments.output / "table.md").write_text(table(rows(runs)))
            print(family, seed, flush=True)


def test_fields(recipe: Recipe, data: Path) -> Iterator[Field]:
    """Middles of tested images, by source."""
    for source in recipe.sources:
        if not source.tested:
            continue
        for path in chosen_images(data / source.folder, source.tested)[:IMAGES]:
            with open_slide(path) as slide:
                side = SIDE * recipe.scale
                if min(slide.size) < side:
                    continue
                x, y = ((length - side) // 2 for length in slide.size)
                pixels = slide.read(Region(x, y, side, side), 1)
            yield Field(path.name, pixels[::4, ::4], pixels[::2, ::2], pixels)


def shifts_off(recipe: Recipe, data: Path, folder: Path, count: int) -> Iterator[float | None]:
    """How far `Level.shift` is off, level-0 pixels, in the worse direction; None if it saw none."""
    random, path = np.random.default_rng(0), folder / "shifted.tif"
    files = [
        file
        for source in recipe.sources
        if source.tested
        for file in chosen_images(data / source.folder, source.tested)
    ]
    for number in range(count):
        with open_slide(files[random.integers(len(files))]) as slide:
            area = Region(0, 0, *(min(side, 1024) // 2 * 2 for side in slide.size))
            fine = slide.read(area, 1)
        across, down = random.uniform(-9, 9, 2) if number % 2 else random.uniform(-1, 1, 2)
        moved = spline_shift(fine.astype(float), (down, across, 0), order=3, mode="nearest")
        spec = ("box", "box+jpeg75-420", "box+jpeg50-420")[number % 3]
        level = degrade(moved.round().clip(0, 255).astype(np.uint8), Degradation.parse(spec))
        with TiffWriter(path) as writer:
            for index, image in enumerate((fine, level)):
                writer.write(image, tile=(256, 256), photometric="rgb", subfiletype=index)
        with open_slide(path) as slide:
            found = slide.levels[1].shift
        yield max(abs(found[0] - across), abs(found[1] - down)) if any(found) else None
    path.unlink()


@torch.no_grad()
def measured(arm: Sr | None, fields: list[Field], spec: str, error: tuple[float, float]) -> float:
    """Mean gain over bicubic of LR, dB; without an arm, with the true displacement undone."""
    gains = []
    for number, field in enumerate(fields):
        batch = batch_of(degraded_as(field, spec, 4))
        angle = 2.4 * number  # every direction, never twice the same
        shift = error[0] * torch.tensor([[math.cos(angle), math.sin(angle)]])
        if any(error):
            by = shift.float(), torch.tensor([error[1]])
            moved = displaced(batch.reference, *by)
            if arm is None:
                moved = displaced(moved, *by, back=True)
            batch = Batch(batch.lr, moved, batch.truth, batch.degradation)
        sr = with_reference(batch, batch.reference) if arm is None else arm(batch)
        plain = bicubic(batch.lr, 4)
        gains.append(psnr(sr, batch.truth) - psnr(plain, batch.truth))
    return statistics.mean(gains)


def psnr(image: Tensor, truth: Tensor) -> float:
    """Of the middle, 8 bits."""
    inner = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    difference = (image.clamp(0, 1) * 255).round()[inner] - (truth * 255)[inner]
    return float(10 * torch.log10(255**2 / difference.square().mean()))


FIELDS = ("family", "arm", "seed", "steps", "spec", "shift", "turn", "gain")


def rows(path: Path) -> list[dict[str, str]]:
    """What was measured so far."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file, FIELDS))


def table(found: list[dict[str, str]]) -> str:
    """Gains in Markdown, a column a displacement."""
    heads = [f"{shift:g} px" + (f", {turn:g}°" if turn else "") for shift, turn in ERRORS]
    lines = [f"| LR | arm | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for spec in SPECS:
        for arm in dict.fromkeys(row["arm"] for row in found):
            cells = []
            for shift, turn in ERRORS:
                own = [
                    float(row["gain"])
                    for row in found
                    if (row["arm"], row["spec"]) == (arm, spec)
                    and (float(row["shift"]), float(row["turn"])) == (shift, turn)
                ]
                around = f" ({min(own):+.2f} to {max(own):+.2f})" if len(own) > 1 else ""
                cells.append(f"{statistics.mean(own):+.2f}{around}" if own else "")
            lines.append(f"| `{spec}` | {arm} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
