"""How far a network looks: the width of the guard band between training and validation."""

from __future__ import annotations

from napari_cwtnet.model.config import NetworkConfig

_BICUBIC = 2
_UPSAMPLER = 3


def receptive_radius(config: NetworkConfig) -> int:
    """LR pixels, on each side, that an SR pixel may depend on; an upper bound.

    Every 3×3 convolution on the longest path adds one. Global pooling (in the WR module) and the
    full search reach over the whole input, but carry no pixels from beyond the patch or tile that
    is computed: the former is left out, the latter counts as one tile.

    >>> from napari_cwtnet.model import preset
    >>> receptive_radius(preset("lite", 2))
    49
    """
    search = {
        "aligned": 2,
        "window": 2 + config.window_radius,
        "full": config.tile,
    }[config.search]
    resampled = 0 if config.value == "same" else 2 * _BICUBIC * 2
    block = 2 * max(config.sr_residual_blocks, config.wt_residual_blocks) + 1
    if config.wt_branch:
        block += search + resampled
    entry = 1
    if config.wt_branch:
        stand_in = 1 + 2 * config.wr_blocks + 2 + _BICUBIC
        filtered = 4 * _BICUBIC
        entry += 2 + max(stand_in, filtered)
    return entry + config.blocks * block + _UPSAMPLER + _BICUBIC
