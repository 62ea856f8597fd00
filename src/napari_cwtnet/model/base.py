"""Base classes of networks of any architecture: config, call and output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """The attention of one CWTB, on the LR grid."""

    query: Tensor
    """Q, ``(N, C, h, w)``."""
    key: Tensor
    """K, ``(N, C, h, w)``."""
    relevance: Tensor
    """S, ``(N, 1, h, w)``, cosine in -1..1."""
    index: Tensor
    """h, ``(N, h, w)`` int64, row-major position of the match."""


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """Output of a network for one batch."""

    sr: Tensor
    """``(N, 3, s·h, s·w)``; nominally 0..1, not clipped."""
    wt: Tensor | None = None
    """I_WT, the WT branch's own sub-bands ``(N, 3·bands, h, w)``; None without a WT branch."""
    reference: Tensor | None = None
    """Input of the WT branch ``(N, 3, 2h, 2w)``: the reference, or its stand-in."""
    blocks: tuple[BlockRecord, ...] = ()
    """One record per CWTB; empty unless requested."""
    error: Tensor | None = None
    """Predicted |SR − truth|, ``(N, 1, h, w)`` in 0..1: mean over RGB and the pixels of SR in
    each LR pixel; None unless requested."""


Scale = Literal[2, 4, 8]


class BaseConfig(BaseModel):
    """Fields that planning, training and weights files need from any network."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: ClassVar[str]
    """Name of the architecture; see :mod:`napari_cwtnet.model.architectures`."""

    scale: Scale = Field(2, description="SR pixels per LR pixel along each axis")
    wt_branch: bool = Field(False, description="whether the network can take a reference")
    tile: int = Field(128, ge=16, le=1024, multiple_of=2, description="tile side, LR pixels")
    halo: int = Field(12, ge=0, le=64, multiple_of=2, description="overlap on each side, LR pixels")

    @model_validator(mode="after")
    def _tile_has_a_core(self) -> Self:
        if self.tile <= 2 * self.halo:
            raise ValueError(f"tile {self.tile} must exceed twice the halo {self.halo}")
        return self

    def receptive_radius(self) -> int:
        """Upper bound of the LR pixels, on each side, that an SR pixel depends on.

        Ignores global pooling, which sees nothing beyond the patch or tile.
        """
        raise NotImplementedError(f"{type(self).__name__} has no receptive radius")


class Network(nn.Module):
    """A network that super-resolves; subclasses take their own config as the only argument."""

    config: BaseConfig
    takes_degradation: bool = False
    """Whether ``forward`` takes ``degradation=``, what is known of its input."""
    predicts_error: bool = False
    """Whether ``forward`` takes ``error=True`` and then predicts its own error."""
    takes_half: ClassVar[bool] = False
    """Whether, with half-precision weights, it takes and returns float32 images."""

    def forward(
        self, lr: Tensor, reference: Tensor | None = None, *, record: bool = False
    ) -> NetworkOutput:
        """Super-resolve a batch.

        Parameters
        ----------
        lr : Tensor
            ``(N, 3, h, w)`` RGB in 0..1.
        reference : Tensor, optional
            The same field one octave finer, ``(N, 3, 2h, 2w)``, if the network takes one.
        record : bool
            Also return the attention of every block, if any.

        Raises
        ------
        ValueError
            If the shapes do not fit, or a reference is given that cannot be taken.
        """
        raise NotImplementedError

    def wt_target(self, reference: Tensor) -> Tensor:
        """Target of the output's ``wt`` for a reference ``(N, 3, 2h, 2w)``."""
        raise NotImplementedError(f"{type(self).__name__} predicts no sub-bands")

    def parameter_count(self) -> int:
        """Number of trained values."""
        return sum(p.numel() for p in self.parameters())
