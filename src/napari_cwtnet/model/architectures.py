"""Architectures by name: CWT-Net, and those that installed packages add.

A package adds one by an entry point in the group ``napari_cwtnet.networks``, named like the
architecture and pointing to an :class:`Architecture`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from napari_cwtnet.errors import ModelError
from napari_cwtnet.model.base import BaseConfig, Network
from napari_cwtnet.model.config import NetworkConfig, preset
from napari_cwtnet.model.network import CwtNet

GROUP = "napari_cwtnet.networks"
CWTNET = "cwtnet"


@dataclass(frozen=True)
class Architecture:
    """Everything needed to build, save, load and train networks of one kind."""

    name: str
    config: type[BaseConfig]
    network: Callable[[Any], Network]
    """Builds an untrained network from a config."""
    preset: Callable[..., BaseConfig]
    """Config from a preset's name, a scale and changed fields."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of a training recipe that differ for this architecture."""


def preset_of(
    config: type[BaseConfig], presets: Mapping[str, Mapping[int, Mapping[str, Any]]]
) -> Callable[..., BaseConfig]:
    """A preset function that looks up fields by name, then by scale."""

    def made(name: str, scale: int, **changes: Any) -> BaseConfig:
        if name not in presets:
            raise ValueError(f"preset {name!r} is unknown; choose one of {', '.join(presets)}")
        return config(**({"scale": scale} | dict(presets[name].get(scale, {})) | changes))

    return made


def list_architectures() -> tuple[str, ...]:
    """Names of all installed architectures; ``cwtnet`` first."""
    return (CWTNET, *sorted(_entries()))


def find_architecture(name: str) -> Architecture:
    """The architecture of that name.

    Raises
    ------
    ModelError
        If the name is unknown, or its package cannot be used.
    """
    if name == CWTNET:
        return Architecture(CWTNET, NetworkConfig, CwtNet, preset)
    claims = _entries().get(name, ())
    if not claims:
        raise ModelError(
            f"Architecture {name!r} is unknown; choose one of {', '.join(list_architectures())}, "
            "or install the package that adds it."
        )
    if len(claims) > 1:
        raise ModelError(
            f"Architecture {name!r} is claimed by {len(claims)} packages, "
            f"{', '.join(map(_claimant, claims))}; uninstall all but one of them."
        )
    return _loaded(claims[0])


def package_of(name: str) -> str | None:
    """The package that adds an architecture; None for CWT-Net and for unknown ones."""
    claims = _entries().get(name, ())
    return claims[0].dist.name if claims and claims[0].dist is not None else None


@cache
def _entries() -> dict[str, tuple[EntryPoint, ...]]:
    """Entry points by name: this package's own where it has one, else all that claim the name."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        if entry.name != CWTNET:
            found.setdefault(entry.name, {})[entry.value] = entry
    return {
        name: tuple(e for e in claims.values() if _is_ours(e)) or tuple(claims.values())
        for name, claims in found.items()
    }


def _is_ours(entry: EntryPoint) -> bool:
    return entry.module.split(".")[0] == __name__.split(".")[0]


def _claimant(entry: EntryPoint) -> str:
    return f"{entry.dist.name if entry.dist else 'one without a name'} ({entry.value})"


@cache
def _loaded(entry: EntryPoint) -> Architecture:
    try:
        found = entry.load()
    except Exception as error:  # another package's module may raise anything
        why = " ".join(str(error).split())[:200]
        raise ModelError(
            f"Architecture {entry.name!r} cannot be loaded from {entry.value}: {why}; update or "
            "reinstall the package that adds it."
        ) from error
    if not isinstance(found, Architecture) or found.name != entry.name:
        raise ModelError(
            f"Architecture {entry.name!r}: {entry.value} is not an Architecture of that name; "
            "update the package that adds it."
        )
    return found
