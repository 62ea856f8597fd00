"""Architectures by name, and weights files of those that other packages add."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from napari_cwtnet.errors import ModelError
from napari_cwtnet.model import (
    CwtNet,
    NetworkConfig,
    architectures,
    find_architecture,
    list_architectures,
    load_model,
    read_weights,
    save_weights,
)
from napari_cwtnet.model.weights import read_header

MODULE = """
from typing import ClassVar

from torch import nn

from napari_cwtnet.model import Architecture, BaseConfig, Network, NetworkOutput
from napari_cwtnet.model.architectures import preset_of


class NearestConfig(BaseConfig):
    architecture: ClassVar[str] = "nearest"
    gain: float = 1.0

    def receptive_radius(self):
        return 1


class Nearest(Network):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.colour = nn.Conv2d(3, 3, 1)

    def forward(self, lr, reference=None, *, record=False):
        s = self.config.scale
        sr = self.config.gain * self.colour(lr)
        return NetworkOutput(sr=sr.repeat_interleave(s, 2).repeat_interleave(s, 3))


ARCHITECTURE = Architecture(
    "nearest", NearestConfig, Nearest, preset_of(NearestConfig, {"plain": {4: {"gain": 2.0}}})
)
"""
BROKEN = "raise RuntimeError('no such\\nlibrary')\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of somebody else's, installed in a folder on the path."""
    folder = tmp_path / "site"
    install(
        folder,
        "nearest-networks",
        nearest="nearest_network:ARCHITECTURE",
        gone="no_such_module:ARCHITECTURE",
        broken="broken_network:ARCHITECTURE",
        misnamed="nearest_network:ARCHITECTURE",
        cwtnet="nearest_network:ARCHITECTURE",
        edsr="nearest_network:ARCHITECTURE",
    )
    (folder / "nearest_network.py").write_text(textwrap.dedent(MODULE))
    (folder / "broken_network.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(folder))
    forget()
    yield folder
    sys.modules.pop("nearest_network", None)
    forget()


def install(folder: Path, package: str, **architectures: str) -> None:
    """What a package leaves in ``site-packages`` to say which architectures it has."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    entries = "".join(f"{name} = {value}\n" for name, value in architectures.items())
    (info / "entry_points.txt").write_text(f"[napari_cwtnet.networks]\n{entries}")


def forget() -> None:
    architectures._entries.cache_clear()
    architectures._loaded.cache_clear()


@pytest.fixture
def weights(package: Path, tmp_path: Path) -> Path:
    found = find_architecture("nearest")
    torch.manual_seed(0)
    path = tmp_path / "mine.safetensors"
    save_weights(path, found.network(found.preset("plain", 4)), {"note": "x"})
    return path


@torch.no_grad()
def test_network_of_another_package_is_saved_and_loaded(weights: Path) -> None:
    network, provenance, _ = read_weights(weights)
    assert type(network).__name__ == "Nearest"
    assert provenance == {"note": "x"}
    assert not network.training
    header = read_header(weights)
    assert (header.scale, header.takes_reference) == (4, False)
    assert header.config == network.config
    lr = torch.rand(1, 3, 5, 4)
    sr = load_model(weights).network(lr).sr
    assert sr.shape == (1, 3, 20, 16)
    assert torch.equal(sr[..., ::4, ::4], 2 * network.colour(lr))


def test_file_says_which_package_is_missing(
    weights: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(package)])
    forget()
    read_header.__globals__["_read"].cache_clear()
    for read in (read_weights, read_header, load_model):
        with pytest.raises(ModelError) as caught:
            read(weights)
        assert str(caught.value) == (
            f"Weights {weights} are of the architecture 'nearest', which no installed "
            "package provides; install the package 'nearest-networks'."
        )


def test_ours_is_ours_whatever_others_install(package: Path) -> None:
    assert list_architectures().count("cwtnet") == 1
    assert find_architecture("cwtnet").network is CwtNet
    assert find_architecture("edsr").network.__module__.startswith("napari_cwtnet.")
    assert architectures.package_of("edsr") == "napari-cwtnet"


def test_name_that_two_packages_claim_is_refused(package: Path) -> None:
    install(package, "other-networks", nearest="elsewhere:ARCHITECTURE")
    forget()
    assert list_architectures().count("nearest") == 1
    with pytest.raises(ModelError) as caught:
        find_architecture("nearest")
    message = str(caught.value)
    assert "Architecture 'nearest' is claimed by 2 packages, " in message
    assert "nearest-networks (nearest_network:ARCHITECTURE)" in message
    assert "other-networks (elsewhere:ARCHITECTURE)" in message
    assert message.endswith("; uninstall all but one of them.")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", "Architecture 'gone' cannot be loaded from no_such_module:ARCHITECTURE: No mod"),
        (
            "broken",
            "'broken' cannot be loaded from broken_network:ARCHITECTURE: no such library; up",
        ),
        (
            "misnamed",
            "'misnamed': nearest_network:ARCHITECTURE is not an Architecture of that name",
        ),
        ("never", "Architecture 'never' is unknown; choose one of cwtnet, bicubic, "),
    ],
)
def test_architecture_that_cannot_be_had_is_refused(package: Path, name: str, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        find_architecture(name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_config_of_another_architecture_is_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    content = weights.read_bytes()
    path.write_bytes(content.replace(b'"nearest"', b'"bicubic"'))
    with pytest.raises(ModelError, match=r"no usable config: gain: Extra inputs"):
        read_weights(path)


def test_files_of_cwtnet_say_nothing_new(tmp_path: Path) -> None:
    config = NetworkConfig(blocks=1, channels=8, wr_blocks=1)
    path = tmp_path / "own.safetensors"
    save_weights(path, CwtNet(config), {})
    assert b'"architecture"' not in path.read_bytes()
    assert b"architecture" not in config.model_dump_json().encode()
    assert read_header(path).config == config
