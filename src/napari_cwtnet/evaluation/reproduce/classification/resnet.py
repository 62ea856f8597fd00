"""ResNet-50 (He et al. 2016, arXiv 1512.03385), from scratch: the judge of Table VI."""

from __future__ import annotations

from torch import Tensor, nn

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Inner channels, bottlenecks and stride of the first of them."""

_WIDENING = 4


def _conv_bn(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Bottleneck(nn.Module):
    """1×1 down, 3×3, 1×1 up, and a skip; the stride is in the 3×3, as in the later version."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = _WIDENING * inner
        self.path = nn.Sequential(
            _conv_bn(inputs, inner, 1),
            nn.ReLU(),
            _conv_bn(inner, inner, 3, stride),
            nn.ReLU(),
            _conv_bn(inner, outputs, 1),
        )
        same = stride == 1 and inputs == outputs
        self.skip = nn.Identity() if same else _conv_bn(inputs, outputs, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` to ``(N, 4 · inner, h / stride, w / stride)``."""
        result: Tensor = (self.path(features) + self.skip(features)).relu()
        return result


class ResNet50(nn.Module):
    """Two classes; ``(N, 3, h, w)`` of any size, about 0 with a spread of about 1.

    Parameters
    ----------
    classes : int
        Logits that come out.
    """

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_bn(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        width = 64
        for inner, count, stride in _STAGES:
            for index in range(count):
                layers.append(Bottleneck(width, inner, stride if index == 0 else 1))
                width = _WIDENING * inner
        self.features = nn.Sequential(*layers)
        self.classify = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes)``."""
        logits: Tensor = self.classify(self.features(images).mean((2, 3)))
        return logits
