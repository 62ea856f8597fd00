"""CWT-Net: an SR branch, a WT branch, and an attention that carries texture between them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cwtnet.model.base import Network, NetworkOutput
from napari_cwtnet.model.blocks import (
    CrossScaleBlock,
    ErrorHead,
    Upsampler,
    WaveletReconstruction,
    bicubic,
    conv,
)
from napari_cwtnet.model.conditioning import LENGTH, Conditioning, modulated
from napari_cwtnet.model.config import NetworkConfig
from napari_cwtnet.model.wavelet import sub_bands


class CwtNet(Network):
    """The network of the paper (arXiv 2409.07092), with every open reading as a config field.

    Parameters
    ----------
    config : NetworkConfig
        Scale, size and readings.

    Notes
    -----
    Weights may be of half precision (``network.to(torch.bfloat16)``) while images are float32.
    Features are then of half precision, but the global skip is not: the output is float32, and
    the skip loses no bit.
    """

    config: NetworkConfig
    takes_half = True

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.takes_degradation = config.conditioning > 0
        channels = config.channels
        self.head = conv(3, channels)
        self.blocks = nn.ModuleList(CrossScaleBlock(config) for _ in range(config.blocks))
        self.tail = Upsampler(channels, config.scale, config.upsampler == "direct")
        if config.wt_branch:
            wt_channels = 3 if config.wt_front == "average" else 3 * len(config.bands)
            self.wt_head = conv(wt_channels, channels)
            self.wt_tail = conv(channels, wt_channels)
            if config.wt_source == "wr":
                self.wr = WaveletReconstruction(config)
        if config.conditioning:
            # After both heads, and in every block for Q and for K.
            self.conditioning = Conditioning(2 + 2 * config.blocks, channels, config.conditioning)
        self.predicts_error = config.error_channels > 0
        if config.error_channels:
            self.error_head = ErrorHead(channels, config.error_channels)
        if config.skip != "none":
            # An untrained network with a global skip is exactly the bicubic enlargement.
            self._begin_at_zero(self.tail.last)
            if config.skip == "source" and hasattr(self, "wr"):
                self._begin_at_zero(self.wr.tail)

    def forward(
        self,
        lr: Tensor,
        reference: Tensor | None = None,
        *,
        degradation: Tensor | None = None,
        record: bool = False,
        error: bool = False,
    ) -> NetworkOutput:
        """Super-resolve a batch.

        Parameters
        ----------
        lr : Tensor
            ``(N, 3, h, w)`` RGB in 0..1.
        reference : Tensor, optional
            The same field one octave finer, ``(N, 3, 2h, 2w)``: the next-higher level, the paper's
            I_GT'. Without it the WR module (or bicubic LR) stands in, or the SR branch works alone.
        degradation : Tensor, optional
            What is known of the degradation of LR and of the reference, ``(N, 2, LENGTH)`` as
            :func:`~napari_cwtnet.model.conditioning.degradation_tensor` makes it; unknown if
            omitted.
        record : bool
            Also return the attention of every block; costs N·C·h·w features per block.
        error : bool
            Also predict the error, if the network has a head for it.

        Raises
        ------
        ValueError
            If ``lr`` is not such a batch, ``reference`` or ``degradation`` does not fit it, or
            ``lr`` has an odd side and V is made by halving (``value="down_up"``).
        """
        self._check_shapes(lr, reference)
        film = self._film(lr, degradation)
        f_sr = self.head(self._as_weights(self.config.lr_gain * (lr - self._mean(lr))))
        f_sr = first = modulated(f_sr, film, 0)
        f_hwt, source = self._enter_wt(lr, reference)
        if f_hwt is not None:
            f_hwt = modulated(f_hwt, film, 1)
        records = []
        for number, block in enumerate(self.blocks, start=1):
            own = None if film is None else film[2 * number : 2 * number + 2]
            f_sr, f_hwt, taken = block(f_sr, f_hwt, record, own)
            records += [taken] if taken else []
        features = first + f_sr
        residual = self.tail(features).to(lr.dtype)
        return NetworkOutput(
            sr=residual + self._base(lr, reference, source),
            wt=None if f_hwt is None else self.wt_tail(f_hwt).to(lr.dtype),
            reference=source,
            blocks=tuple(records),
            error=self.error_head(features) if error and self.predicts_error else None,
        )

    def wt_target(self, reference: Tensor) -> Tensor:
        """Target of I_WT for a reference ``(N, 3, 2h, 2w)`` (Eq. 12)."""
        if self.config.wt_front == "average":
            return F.avg_pool2d(reference, 2)
        return sub_bands(reference, self.config.bands)

    @staticmethod
    def _begin_at_zero(last: nn.Module) -> None:
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def _check_shapes(self, lr: Tensor, reference: Tensor | None) -> None:
        if lr.ndim != 4 or lr.shape[1] != 3 or 0 in lr.shape:
            raise ValueError(f"LR must be (N, 3, h, w), got {tuple(lr.shape)}")
        n, _, height, width = lr.shape
        wanted = (n, 3, 2 * height, 2 * width)
        if reference is not None and tuple(reference.shape) != wanted:
            raise ValueError(
                f"the reference must be twice the size of LR, {wanted}, "
                f"got {tuple(reference.shape)}"
            )
        halves = self.config.wt_branch and self.config.value == "down_up"
        if halves and (height % 2 or width % 2):
            raise ValueError(f"value 'down_up' needs even LR sizes, got {(height, width)}")

    def _enter_wt(
        self, lr: Tensor, reference: Tensor | None
    ) -> tuple[Tensor, Tensor] | tuple[None, None]:
        if not self.config.wt_branch:
            return None, None
        if reference is None:
            if self.config.wt_source == "none":
                return None, None
            source = self.wr(lr) if self.config.wt_source == "wr" else bicubic(lr, 2)
        elif self.config.reference_filter == "down_up":
            source = bicubic(bicubic(reference, 0.5), 2)
        else:
            source = reference
        return self.wt_head(self._as_weights(self._scaled_bands(source))), source

    def _scaled_bands(self, source: Tensor) -> Tensor:
        """Sub-bands scaled to the range of features; for ``lowest_band="lr"``, LL less its mean."""
        bands, config = self.wt_target(source), self.config
        if config.wt_front == "average" or config.lowest_band == "band":
            return config.band_gain * bands
        scaled = [
            config.lr_gain * (band / 2 - self._mean(band)) if name == "LL"
            else config.band_gain * band
            for name, band in zip(config.bands, torch.split(bands, 3, 1), strict=True)
        ]  # fmt: skip
        return torch.cat(scaled, 1)

    def _film(self, lr: Tensor, degradation: Tensor | None) -> Tensor | None:
        if not self.config.conditioning:
            return None
        wanted = (lr.shape[0], 2, LENGTH)
        if degradation is None:
            degradation = lr.new_zeros(wanted)
        if tuple(degradation.shape) != wanted:
            raise ValueError(f"degradation must be {wanted}, got {tuple(degradation.shape)}")
        film: Tensor = self.conditioning(degradation)
        return film

    def _base(self, lr: Tensor, reference: Tensor | None, source: Tensor | None) -> Tensor:
        skip = self.config.skip
        if skip == "none":
            return self._mean(lr)
        finest = {"lr": None, "finest": reference, "source": source}[skip]
        if finest is None:
            return bicubic(lr, self.config.scale)
        return bicubic(finest, self.config.scale / 2)

    def _mean(self, images: Tensor) -> Tensor:
        # No buffer: it would be rounded with the weights.
        return images.new_tensor(self.config.mean).view(1, 3, 1, 1)

    def _as_weights(self, images: Tensor) -> Tensor:
        return images.to(self.head.weight.dtype)
