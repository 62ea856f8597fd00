"""Targets: magnifications beyond the slide's own, and when they help."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from napari_cwtnet.geometry import magnification
from napari_cwtnet.model import Model
from napari_cwtnet.model.weights import ModelHeader

DEFAULT_NA = 0.75
"""Numerical aperture of most 20× and 40× scanner objectives."""
_GREEN = 0.55
"""Wavelength in µm, in the middle of the visible range."""
_WORTHWHILE = 0.95
"""Level-0 pixels per screen pixel from which the screen shows no more than the slide holds."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """How many times finer than the slide the result is to be.

    Parameters
    ----------
    factor : int
        SR pixels per level-0 pixel along each axis: 2, 4 or 8.
    """

    factor: int

    @property
    def output_downsample(self) -> float:
        """Level-0 pixels per SR pixel."""
        return 1 / self.factor

    def mpp(self, native_mpp: float | None) -> float | None:
        """µm per SR pixel of a slide with ``native_mpp`` µm per level-0 pixel."""
        return None if native_mpp is None else native_mpp / self.factor

    def words(self, native_mpp: float | None) -> str:
        """The magnification in words, for a slide.

        >>> Target(2).words(0.5), Target(4).words(0.7), Target(8).words(None)
        ('20× → 40×, 0.25 µm/px', '0.7 → 0.175 µm/px', '8 times finer')
        """
        finer = self.mpp(native_mpp)
        if finer is None or native_mpp is None:
            return f"{self.factor} times finer"
        native = magnification(native_mpp)
        if native is None:
            return f"{native_mpp:.3g} → {finer:.3g} µm/px"
        return f"{native}× → {native * self.factor}×, {finer:.3g} µm/px"

    def beyond_the_lens(self, native_mpp: float | None, na: float = DEFAULT_NA) -> str:
        """A warning where the target is finer than a lens resolves; else empty.

        Parameters
        ----------
        native_mpp : float, optional
            µm per level-0 pixel.
        na : float
            Numerical aperture of the objective, above 0.

        >>> Target(4).beyond_the_lens(0.5)
        'Finer than a 0.75 NA lens resolves (0.18 µm/px).'
        >>> Target(2).beyond_the_lens(0.5)
        ''
        """
        finer, limit = self.mpp(native_mpp), optical_limit(na)
        if finer is None or finer >= limit:
            return ""
        return f"Finer than a {na:g} NA lens resolves ({limit:.2f} µm/px)."


def optical_limit(na: float = DEFAULT_NA) -> float:
    """The pixel size, µm, below which a lens delivers nothing more.

    Half of Abbe's least period λ / (2 NA), at 0.55 µm.

    >>> round(optical_limit(0.75), 3)
    0.183
    """
    return _GREEN / (4 * na)


def targets(models: Iterable[Model | ModelHeader]) -> tuple[Target, ...]:
    """The targets that some of the models for use reach from level 0, the nearest first."""
    return tuple(sorted({Target(model.scale) for model in models if not model.purpose}))


def suiting_models(
    target: Target, models: Iterable[Model | ModelHeader]
) -> tuple[Model | ModelHeader, ...]:
    """The models for use that reach a target from level 0, in their order."""
    return tuple(m for m in models if m.scale == target.factor and not m.purpose)


def nothing_to_gain(screen_pixel: float) -> bool:
    """Whether the screen shows no more detail than the slide itself holds.

    Parameters
    ----------
    screen_pixel : float
        Level-0 pixels per screen pixel, above 0.
    """
    return screen_pixel >= _WORTHWHILE
