"""Config of a CWT-Net, shared by weights files, recipes, command line and docks."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from napari_cwtnet.model.base import BaseConfig

Band = Literal["LL", "LH", "HL", "HH"]
SearchName = Literal["full", "window", "aligned"]

MLCAMSR_MEAN = (0.7204, 0.4298, 0.6379)
_BICUBIC = 2
_UPSAMPLER = 3


class NetworkConfig(BaseConfig):
    """Every choice that changes what a CWT-Net computes.

    The defaults are the paper's ×2 network; :func:`preset` gives the other starting points.
    """

    architecture: ClassVar[str] = "cwtnet"

    blocks: int = Field(12, ge=1, le=64, description="number of CWTBs, n")
    channels: int = Field(64, ge=8, le=512, multiple_of=8, description="feature channels, C")
    sr_residual_blocks: int = Field(2, ge=1, le=16, description="RBs in each B_RBs")
    wt_residual_blocks: int = Field(2, ge=1, le=16, description="RBs in each B_RBw")
    wt_branch: bool = Field(True, description="False leaves the SR branch alone (Table II)")
    wt_front: Literal["dwt", "average"] = Field(
        "dwt", description="what brings the reference to the LR grid: Haar, or 2×2 means (Table II)"
    )
    bands: tuple[Band, ...] = Field(("HH",), min_length=1, description="Haar sub-bands kept")
    wt_source: Literal["wr", "lr_up", "none"] = Field(
        "wr",
        description="stand-in for a missing reference: WR module, or bicubic LR (Table III); none: "
        "the SR branch then works alone",
    )
    reference_filter: Literal["none", "down_up"] = Field(
        "none", description="down_up: the reference loses its finest octave first (Table III)"
    )
    wr_blocks: int = Field(4, ge=1, le=32, description="WRBs in the WR module")
    wr_reduction: int = Field(8, ge=1, description="channel reduction of the WRB attention")
    search: SearchName = Field("full", description="where a query may find its match")
    window_radius: int = Field(8, ge=1, le=64, description="reach of `window`, LR pixels")
    position_bias: float = Field(
        0.0, ge=0, description="relevance lost per LR pixel of displacement in `window`"
    )
    value: Literal["same", "up_down", "down_up"] = Field(
        "same", description="how V comes from f_hwt: unchanged, or resampled by 2 and back"
    )
    patch_normalisation: Literal["nine", "count"] = Field(
        "nine", description="overlapping patches are divided by 9, or by how many there are"
    )
    double_residual: bool = Field(False, description="add Q twice, as Eqs. 2 and 9 read literally")
    skip: Literal["none", "lr", "finest", "source"] = Field(
        "none",
        description="global skip: none (add the mean), or the bicubic enlargement of LR, of the "
        "finest input, or of what feeds the WT branch: the reference, else what stands in for it",
    )
    upsampler: Literal["steps", "direct"] = Field(
        "steps", description="one sub-pixel shuffle an octave at full width, or a single one"
    )
    conditioning: int = Field(
        0,
        ge=0,
        le=1024,
        description="hidden units of the MLP that takes what is known of the degradation; 0: none",
    )
    error_channels: int = Field(
        0, ge=0, le=256, description="hidden channels of the head that predicts the error; 0: none"
    )
    lowest_band: Literal["band", "lr"] = Field(
        "band", description="how LL enters, where it is kept: as the other bands, or as LR does"
    )
    lr_gain: float = Field(
        1.0, gt=0, le=64, description="factor of LR, less its mean, on entering the SR branch"
    )
    band_gain: float = Field(
        1.0, gt=0, le=64, description="factor of the sub-bands on entering the WT branch"
    )
    mean: tuple[float, float, float] = Field(MLCAMSR_MEAN, description="RGB mean, 0..1")
    tile: int = Field(64, ge=16, le=1024, multiple_of=2, description="tile side, LR pixels")
    halo: int = Field(16, ge=0, le=64, multiple_of=2, description="overlap on each side, LR pixels")

    def attends(self, *, with_reference: bool) -> bool:
        """Whether the WT branch and its attention run; otherwise the SR branch works alone."""
        return self.wt_branch and (with_reference or self.wt_source != "none")

    def receptive_radius(self) -> int:
        """Upper bound of the LR pixels, on each side, that an SR pixel depends on.

        Every 3×3 convolution on the longest path adds one. Global pooling (in the WR module) and
        the full search see the whole input, but nothing beyond the patch or tile: the former is
        ignored, the latter counts as one tile.

        >>> preset("lite", 2).receptive_radius()
        49
        """
        search = {
            "aligned": 2,
            "window": 2 + self.window_radius,
            "full": self.tile,
        }[self.search]
        resampled = 0 if self.value == "same" else 2 * _BICUBIC * 2
        block = 2 * max(self.sr_residual_blocks, self.wt_residual_blocks) + 1
        if self.wt_branch:
            block += search + resampled
        entry = 1
        if self.wt_branch:
            stand_in = 1 + 2 * self.wr_blocks + 2 + _BICUBIC if self.wt_source == "wr" else 0
            filtered = 4 * _BICUBIC
            entry += 2 + max(stand_in, filtered)
        return entry + self.blocks * block + _UPSAMPLER + _BICUBIC


def preset(name: str, scale: int, **changes: Any) -> NetworkConfig:
    """A named starting point.

    Parameters
    ----------
    name : {"paper", "paper-octave", "house", "lite", "lite-2"}
        ``paper`` follows the text as literally as possible: WT depth grows by one RB (and
        WR by two WRBs) per +1 of the factor. ``paper-octave`` lets it grow per octave.
        ``house`` (paper size) and ``lite`` feed three detail bands, take the aligned match, add
        the bicubic enlargement of what feeds the WT branch, and bring both inputs to the range
        of features (decision 0015). ``lite-2`` is what ships: without a reference the SR branch
        works alone, at ×2 always, and the network takes the degradation of its input (decision
        0016).
    scale : {2, 4, 8}
        Super-resolution factor.
    **changes
        Fields of :class:`NetworkConfig` to set otherwise.

    Raises
    ------
    ValueError
        If the preset is unknown or a field is out of range.
    """
    octaves = {2: 0, 4: 1, 8: 2}.get(scale, 0)
    by_octave = {"wt_residual_blocks": 2 + octaves, "wr_blocks": 4 + 2 * octaves}
    house = {
        "bands": ("LH", "HL", "HH"),
        "search": "aligned",
        "patch_normalisation": "count",
        "skip": "source",
        "lr_gain": 4.0,
        "band_gain": 16.0,
        "tile": 128,
        "halo": 12,
    }
    presets: dict[str, dict[str, Any]] = {
        "paper": {"wt_residual_blocks": scale, "wr_blocks": 2 * scale},
        "paper-octave": by_octave,
        "house": by_octave | house,
        "lite": house
        | {"blocks": 4, "channels": 32, "wt_residual_blocks": 2, "wr_blocks": 4, "halo": 8},
        "lite-2": house
        | {
            "blocks": 5,
            "channels": 48,
            "wt_branch": scale > 2,
            "bands": ("LL", "LH", "HL", "HH"),
            "lowest_band": "lr",
            "wt_source": "none",
            "upsampler": "direct",
            "conditioning": 64,
            "halo": 8,
        },
    }
    if name not in presets:
        raise ValueError(f"preset {name!r} is unknown; choose one of {', '.join(presets)}")
    return NetworkConfig(**({"scale": scale} | presets[name] | changes))
