"""Weights files: safetensors with config and provenance in the header. Never a pickle."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import stat
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, get_args

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from napari_cwtnet.errors import ModelError
from napari_cwtnet.files import written_whole
from napari_cwtnet.model.architectures import (
    CWTNET,
    Architecture,
    find_architecture,
    list_architectures,
    package_of,
)
from napari_cwtnet.model.base import BaseConfig, Network, NetworkOutput, Scale
from napari_cwtnet.slides.decode_budget import DECODE_BYTES, HEADER_BYTES

_SHOWN_GAINS = {"box+jpeg75-420": "at JPEG 75", "bicubic": "clean"}
"""Degradations of the figures that a model's line gives."""


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """A model without its network: enough to plan with."""

    name: str
    path: Path
    config: BaseConfig
    provenance: dict[str, Any]
    parameters: int = field(default=0, kw_only=True)
    """Trained values."""

    @property
    def line(self) -> str:
        """What it is for, in one line: scale, stains, gain over bicubic in PSNR, size."""
        words = [f"×{self.scale}"]
        if self.purpose:
            words.append(f"{self.purpose}, not for use")
        stains, figures = self.provenance.get("stains"), self.provenance.get("figures")
        if isinstance(stains, list):
            words.append(", ".join(map(str, stains)))
        gains = figures.get("single-image") if isinstance(figures, dict) else None
        if isinstance(gains, dict) and gains.keys() >= _SHOWN_GAINS.keys():
            shown = ", ".join(
                f"{gains[spec]:+.1f} dB {word}" for spec, word in _SHOWN_GAINS.items()
            )
            words.append(f"over plain enlargement {shown}")
        words.append(f"{self.parameters / 1e6:.2g} M parameters")
        return " · ".join(words)

    @property
    def purpose(self) -> str:
        """What it is for, such as "for looking inside", where that is not to enhance slides.

        Such a model is nobody's default.
        """
        words = self.provenance.get("purpose", "")
        return words if isinstance(words, str) else ""

    @property
    def scale(self) -> int:
        """SR pixels per LR pixel along each axis."""
        return self.config.scale

    @property
    def takes_degradation(self) -> bool:
        """Whether it takes the degradation of its input."""
        return getattr(self.config, "conditioning", 0) > 0

    @property
    def predicts_error(self) -> bool:
        """Whether it predicts its own error."""
        return getattr(self.config, "error_channels", 0) > 0

    @property
    def takes_reference(self) -> bool:
        """Whether it was trained with the next-higher level as WT input."""
        share = self.provenance.get("reference_share", 0)
        return self.config.wt_branch and isinstance(share, int | float) and share > 0


def read_header(path: Path) -> ModelHeader:
    """Config and provenance of a weights file, read in a few milliseconds.

    Raises
    ------
    ModelError
        If the file is missing or has no usable header.
    """
    try:
        stamp = path.stat()
        return _read(path, stamp.st_mtime_ns, stamp.st_size)
    except (OSError, RecursionError, SafetensorError, ValidationError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise ModelError(f"Weights {path} cannot be read: {why}; choose another model.") from error


def architecture_in(metadata: dict[str, str], path: Path) -> Architecture:
    """The architecture that a file's metadata name; files of CWT-Net name none.

    Raises
    ------
    ModelError
        If no installed package provides it.
    """
    name = metadata.get("architecture", CWTNET)
    if name in list_architectures():
        return find_architecture(name)
    package = metadata.get("package", "")[:100]
    advice = f"install the package {package!r}" if package else "choose another file"
    raise ModelError(
        f"Weights {path} are of the architecture {name[:100]!r}, which no installed package "
        f"provides; {advice}."
    )


@lru_cache(maxsize=64)
def _read(path: Path, _modified: int, _size: int) -> ModelHeader:
    _check_start(path)
    with safe_open(path, framework="pt") as archive:
        metadata = archive.metadata() or {}
        names = archive.keys()
        shapes = [archive.get_slice(name).get_shape() for name in names]
    architecture = architecture_in(metadata, path)
    config = architecture.config.model_validate_json(metadata.get("config", ""))
    provenance = json.loads(metadata.get("provenance", "{}"))
    known = provenance if isinstance(provenance, dict) else {}
    return ModelHeader(path.stem, path, config, known, parameters=sum(map(math.prod, shapes)))


class ForeignConfig(BaseConfig):
    """Config of a network from another project."""

    architecture: ClassVar[str] = "foreign"

    kind: str = Field(description="architecture that spandrel detected")
    halo: int = 16


class Foreign(Network):
    """A network that spandrel built from its weights; its output is clipped to 0..1."""

    config: ForeignConfig

    def __init__(self, config: ForeignConfig, descriptor: Any) -> None:
        super().__init__()
        self.config = config
        self.network = descriptor.model
        self._descriptor = descriptor  # pads as the network requires

    def forward(
        self, lr: Tensor, reference: Tensor | None = None, *, record: bool = False
    ) -> NetworkOutput:
        """As :class:`~napari_cwtnet.model.base.Network`; a reference is refused."""
        del record
        if reference is not None:
            raise ValueError(f"{self.config.architecture} takes no reference")
        return NetworkOutput(sr=self._descriptor(lr))


def foreign_network(finding: str, tensors: dict[str, Tensor]) -> Foreign:
    """The network of another project, built from the tensors of its file.

    Parameters
    ----------
    finding : str
        Begins every error message.
    tensors : dict
        The file's tensors.

    Raises
    ------
    ModelError
        If spandrel is not installed, does not know them, or they are no ×2, ×4 or ×8 of RGB.
    """
    try:
        from spandrel import ImageModelDescriptor, ModelLoader
    except (ImportError, RuntimeError) as error:  # RuntimeError: an incompatible torchvision
        raise ModelError(
            f"{finding}; choose another file, or install spandrel to use weights of other "
            f"projects ({' '.join(str(error).split())[:100]})."
        ) from error
    try:
        found = ModelLoader().load_from_state_dict(tensors)
    except Exception as error:  # spandrel guesses, and arbitrary tensors may break it
        raise ModelError(
            f"{finding}, and spandrel does not know them either; choose another file."
        ) from error
    kind = found.architecture.name
    if not isinstance(found, ImageModelDescriptor) or found.scale not in get_args(Scale):
        raise ModelError(f"{finding}, but {kind}, and no ×2, ×4 or ×8; choose another file.")
    if (found.input_channels, found.output_channels) != (3, 3):
        raise ModelError(f"{finding}, but {kind}, and not of RGB; choose another file.")
    config = ForeignConfig(scale=found.scale, kind=kind)
    return Foreign(config, found)


FORMAT = "cwtnet-1"
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80")


def save_weights(
    path: Path,
    network: Network,
    provenance: dict[str, Any],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a network to ``path``, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``.
    network : Network
        The network to save.
    provenance : dict
        How it was trained; JSON values.
    dtype : torch.dtype
        float16 halves the file.
    """
    tensors = {
        name: _as(value.detach().cpu(), dtype).contiguous()
        for name, value in network.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "config": network.config.model_dump_json(),
        "provenance": json.dumps(provenance, ensure_ascii=False, sort_keys=True),
    } | _architecture_of(network)
    with written_whole(path) as partial:
        partial.write_bytes(_in_order(save(tensors, metadata)))


def read_weights(path: Path) -> tuple[Network, dict[str, Any], str]:
    """Read a network that :func:`save_weights` wrote, or one of another project by spandrel.

    Returns
    -------
    network, provenance, sha256 : Network (float32, CPU, eval mode), dict, str

    Raises
    ------
    ModelError
        If the file is missing, a pickle, damaged, not made by this package, of an architecture that
        no installed package provides, or does not fit its own config.
    """
    try:
        _check_start(path)
        _check_foreign_size(path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:  # ValueError: an impossible name
        why = getattr(error, "strerror", None) or error
        raise ModelError(f"Weights {path} cannot be read: {why}; check the path.") from error
    try:
        with safe_open(path, framework="pt") as archive:
            metadata = archive.metadata() or {}
            if metadata.get("format") != FORMAT:
                others = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
                found = f"format {metadata.get('format')!r}, wanted {FORMAT!r}"
                return _foreign(f"Weights {path} are not a CWT-Net: {found}", others, sha256)
            architecture = architecture_in(metadata, path)
            config = _config(path, architecture, metadata.get("config", ""))
            shapes = {
                name: tuple(archive.get_slice(name).get_shape())
                for name in archive.keys()  # noqa: SIM118
            }
            _check_fit(path, architecture, config, shapes)
            tensors = {name: _as(archive.get_tensor(name), torch.float32) for name in shapes}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"Weights {path} are damaged: {_one_line(error)}; copy or make the file again."
        ) from error
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ModelError(
                f"Weights {path} are damaged: {name} holds values that are not finite; "
                "copy or make the file again."
            )
    provenance = _provenance(path, metadata.get("provenance", "{}"))
    network = architecture.network(config)
    network.load_state_dict(tensors)
    return network.eval(), provenance, sha256


def _check_start(path: Path) -> None:
    """Refuse a pickle, a pipe or device, and a header of absurd length, before more is read."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ModelError(f"Weights {path} are a folder or a device; give a .safetensors file.")
    with path.open("rb") as file:
        start = file.read(9)
    # A safetensors header that is 0x80 bytes long begins like a pickle, but goes on with a "{".
    if start.startswith(_PICKLE_STARTS) and start[8:] != b"{":
        raise ModelError(
            f"Weights {path} are a pickle, which can run code when loaded; "
            "only .safetensors files are opened."
        )
    header = int.from_bytes(start[:8], "little")
    if HEADER_BYTES < header <= path.stat().st_size:
        raise ModelError(
            f"Weights {path} have a header of {header / 1e6:,.0f} MB, more than "
            f"{HEADER_BYTES / 1e6:.0f}; choose another file."
        )


def _check_foreign_size(path: Path) -> None:
    """Refuse a large file that is not ours by its header, before all of it is read."""
    size = path.stat().st_size
    if size <= DECODE_BYTES:
        return
    with contextlib.suppress(SafetensorError), safe_open(path, framework="pt") as archive:
        if (archive.metadata() or {}).get("format") == FORMAT:
            return
        raise ModelError(
            f"Weights {path} are not a CWT-Net, and with {size / 1e6:,.0f} MB, more than "
            f"{DECODE_BYTES / 1e6:.0f}, no network that is read here; choose another file."
        )


def _foreign(
    finding: str, tensors: dict[str, Tensor], sha256: str
) -> tuple[Network, dict[str, Any], str]:
    network = foreign_network(finding, tensors)
    return network.eval(), {"foreign": f"{network.config.kind}, read by spandrel"}, sha256


def _in_order(content: bytes) -> bytes:
    """The file with sorted metadata: safetensors shuffles them, which would change sha256."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def _as(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast to dtype, except integer tensors."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _architecture_of(network: Network) -> dict[str, str]:
    """Entries of the header; empty for a CWT-Net, for compatibility with older files."""
    name = network.config.architecture
    if name == CWTNET:
        return {}
    return {"architecture": name, "package": package_of(name) or ""}


def _config(path: Path, architecture: Architecture, text: str) -> BaseConfig:
    try:
        return architecture.config.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where or 'the whole'}: {first['msg'].removeprefix('Value error, ')}"
    raise ModelError(
        f"Weights {path} have no usable config: {_one_line(what)}; choose another file."
    )


def _check_fit(
    path: Path, architecture: Architecture, config: BaseConfig, shapes: dict[str, tuple[int, ...]]
) -> None:
    """Compare shapes without allocating: an untrusted config may ask for gigabytes."""
    with torch.device("meta"):
        network = architecture.network(config)
    wanted = {name: tuple(v.shape) for name, v in network.state_dict().items()}
    for name in sorted(wanted.keys() | shapes.keys()):
        if wanted.get(name) != shapes.get(name):
            raise ModelError(
                f"Weights {path} do not fit their own config: {name} has shape "
                f"{shapes.get(name, 'none')}, wanted {wanted.get(name, 'none')}; "
                "choose another file."
            )


def _provenance(path: Path, text: str) -> dict[str, Any]:
    try:
        provenance = json.loads(text)
    except (ValueError, RecursionError) as error:
        provenance = _one_line(error)
    if isinstance(provenance, dict):
        return provenance
    raise ModelError(
        f"Weights {path} have no usable provenance: {_one_line(provenance)}; choose another file."
    )


def _one_line(what: object) -> str:
    return " ".join(str(what).split())[:200]
