"""Begin a CWT-Net of another shape with what a trained one knows.

Usage: ``python tools/warm_start.py OLD.safetensors|NAME --preset lite-2 --scale 4 --output NEW``,
or ``--recipe RECIPE.yaml`` for the network of a recipe, such as the same one with another search

Features of the old network keep their places and their weights; features that are new begin small
and lead nowhere yet (Net2Net, arXiv 1511.05641), so that the SR branch computes what it did. An
upsampler of several steps becomes a single convolution, as near as 3 × 3 taps allow. Whatever has
no counterpart begins untrained. The file that comes out is a recipe's ``start``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cwtnet.model import load_model, preset, save_weights
from napari_cwtnet.model.config import Band, NetworkConfig
from napari_cwtnet.model.network import CwtNet
from napari_cwtnet.training.recipe import load_recipe

_NEW = 0.1
"""Size of new features' weights, relative to those of an untrained network."""


def warm_start(old: CwtNet, config: NetworkConfig, seed: int = 0) -> CwtNet:
    """An untrained network of ``config`` that has taken over what fits from ``old``."""
    torch.manual_seed(seed)
    new = CwtNet(config)
    before, after = old.state_dict(), new.state_dict()
    widths = (old.config.channels, config.channels)
    bands = (old.config.bands, config.bands)
    with torch.no_grad():
        for name, target in after.items():
            if name.startswith("tail.") and old.config.upsampler != config.upsampler:
                continue
            if name.startswith("wt_head.weight") and name in before:
                _put(target, _by_bands(before[name], *bands), widths)
            elif name.startswith("conditioning.leave"):
                if name in before and widths[0] == widths[1]:
                    _put(target, before[name], widths)  # sites of further blocks come last
            elif name.startswith("wt_tail."):
                if name in before and before[name].shape == target.shape:
                    target.copy_(before[name])
            elif name.endswith("fuse.weight") and name in before:
                query, texture = before[name].chunk(2, 1)
                joint = torch.cat([_wide(query, widths[1]), _wide(texture, widths[1])], 1)
                _put(target, joint, widths)
            elif name in before and _fits(before[name], target):
                _put(target, before[name], widths)
        for block in new.blocks[old.config.blocks :]:
            _pass_through(block)
        if old.config.upsampler != config.upsampler and old.config.scale == config.scale:
            _merge_steps(old, new)
    new.load_state_dict(after)
    return new


def _fits(old: Tensor, new: Tensor) -> bool:
    return old.ndim == new.ndim and all(a <= b for a, b in zip(old.shape, new.shape, strict=True))


def _put(target: Tensor, known: Tensor, widths: tuple[int, int]) -> None:
    """Old outputs see old inputs only; new outputs are small."""
    outputs = known.shape[0]
    if widths[0] != widths[1]:
        target[outputs:] *= _NEW
        target[:outputs] = 0
    inner = tuple(slice(0, side) for side in known.shape)
    target[inner] = known


def _wide(weight: Tensor, channels: int) -> Tensor:
    return F.pad(weight, (0, 0, 0, 0, 0, channels - weight.shape[1]))


def _by_bands(weight: Tensor, old: tuple[Band, ...], new: tuple[Band, ...]) -> Tensor:
    parts = dict(zip(old, torch.split(weight, 3, 1), strict=True))
    nothing = torch.zeros_like(weight[:, :3])
    return torch.cat([parts.get(band, nothing) for band in new], 1)


def _pass_through(block: nn.Module) -> None:
    """A block that gives what it gets, until it is trained."""
    for name, parameter in block.named_parameters():
        if ".second." in name or name.startswith("fuse."):
            parameter.zero_()


def _merge_steps(old: CwtNet, new: CwtNet) -> None:
    """The steps of the old upsampler are linear: their response to impulses, cut to 3 × 3."""
    channels, scale, side = old.config.channels, old.config.scale, 9
    impulses = torch.zeros(channels + 1, channels, side, side)
    impulses[range(channels), range(channels), side // 2, side // 2] = 1
    responses = F.pixel_unshuffle(old.tail(impulses), scale)
    bias = responses[-1, :, side // 2, side // 2]
    near = slice(side // 2 - 1, side // 2 + 2)
    weight = (responses[:-1] - responses[-1:])[:, :, near, near].flip(2, 3).transpose(0, 1)
    target = dict(new.tail.last.named_parameters())
    target["weight"].zero_()
    target["weight"][:, :channels] = weight
    target["bias"].copy_(bias)


def main() -> None:
    """Write the new network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old")
    shape = parser.add_mutually_exclusive_group(required=True)
    shape.add_argument("--scale", type=int, choices=(2, 4, 8), help="of a preset's network")
    shape.add_argument("--recipe", type=Path, help="whose network it is")
    parser.add_argument("--preset", default="lite-2")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    model = load_model(arguments.old)
    if not isinstance(model.network, CwtNet):
        parser.error(f"{arguments.old} is no CWT-Net")
    if arguments.recipe is None:
        config = preset(arguments.preset, arguments.scale)
    else:
        wanted = load_recipe(arguments.recipe).network_config()
        if not isinstance(wanted, NetworkConfig):
            parser.error(f"{arguments.recipe} trains no CWT-Net")
        config = wanted
    network = warm_start(model.network, config)
    made_of = {"warm_start_of": {"name": model.name, "sha256": model.sha256}}
    save_weights(arguments.output, network, made_of)


if __name__ == "__main__":
    main()
