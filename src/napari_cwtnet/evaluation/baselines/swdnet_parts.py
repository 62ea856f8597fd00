"""The parts of SWD-Net, as they are built here; see :mod:`.swdnet` for what is reconstructed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_cwtnet.model.blocks import conv


class ContextFusion(nn.Module):
    """RCF: a near stream and a far one, each corrected by how the other differs; plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = nn.ModuleList(conv(channels, channels) for _ in range(2))
        self.far = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2) for _ in range(2)
        )
        self.to_near = nn.Conv2d(channels, channels, 1)
        self.to_far = nn.Conv2d(channels, channels, 1)
        self.fuse = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` to the same."""
        near, far = (torch.relu(step[0](features)) for step in (self.near, self.far))
        difference = far - near
        near, far = near + self.to_near(difference), far - self.to_far(difference)
        near, far = torch.relu(self.near[1](near)), torch.relu(self.far[1](far))
        fused: Tensor = self.fuse(torch.cat((near, far), 1))
        return features + fused


class FeatureAdaptation(nn.Module):
    """WFA: a factor and an offset for each of the twelve coefficients, by its own spread."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1, 12, 1, 1))
        self.offset = nn.Parameter(torch.zeros(1, 12, 1, 1))
        # Details are some twenty times smaller than LL: begin with a common range.
        with torch.no_grad():
            self.factor[:, 3:] = 20.0

    def forward(self, bands: Tensor) -> Tensor:
        """``(N, 12, h, w)``, LL to HH of RGB, to the same."""
        return bands * self.factor + self.offset


class WaveletAwareBlock(nn.Module):
    """WAC: every band by its own convolutions, then all of them mixed; plus the input."""

    def __init__(self, band_channels: int) -> None:
        super().__init__()
        channels = 4 * band_channels
        self.first = nn.Conv2d(channels, channels, 3, padding=1, groups=4)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, groups=4)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, 4·C, h, w)`` to the same."""
        mixed = torch.relu(self.mix(torch.relu(self.first(features))))
        correction: Tensor = self.second(mixed)
        return features + correction
