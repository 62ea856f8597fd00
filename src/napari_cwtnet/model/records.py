"""What a forward pass can tell about itself, as typed records."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
    """What the network gives for one batch."""

    sr: Tensor
    """``(N, 3, s·h, s·w)``; nominally 0..1, not clipped."""
    wt: Tensor | None = None
    """I_WT, the WT branch's own sub-bands ``(N, 3·bands, h, w)``; None without a WT branch."""
    reference: Tensor | None = None
    """What fed the WT branch ``(N, 3, 2h, 2w)``: the reference, or its stand-in."""
    blocks: tuple[BlockRecord, ...] = ()
    """One record a CWTB; empty unless asked for."""
