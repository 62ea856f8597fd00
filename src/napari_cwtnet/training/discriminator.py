"""The discriminator of SRGAN (Ledig et al., CVPR 2017, arXiv 1609.04802)."""

from __future__ import annotations

from torch import Tensor, nn

_SLOPE = 0.2
_HIDDEN = 1024


class Discriminator(nn.Module):
    """Eight convolutions, every second one halving, and two dense layers.

    The features are averaged over the patch before the dense layers, where the paper takes them as
    they are: so patches may be of any size, and there are 5.2 million parameters in place of 23.6.

    Parameters
    ----------
    channels : int
        Of the first layer; the last has eight times as many.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1), nn.LeakyReLU(_SLOPE)]
        inputs = channels
        for outputs, stride in zip(
            (channels * factor for factor in (1, 2, 2, 4, 4, 8, 8)),
            (2, 1, 2, 1, 2, 1, 2),
            strict=True,
        ):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, padding=1),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(_SLOPE),
            ]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.judge = nn.Sequential(
            nn.Linear(inputs, _HIDDEN), nn.LeakyReLU(_SLOPE), nn.Linear(_HIDDEN, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in 0..1 to ``(N, 1)``: a logit, high for what seems true."""
        verdict: Tensor = self.judge(self.features(2 * image - 1).mean((2, 3)))
        return verdict
