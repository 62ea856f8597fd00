"""Exported models give the pixels of the network, in a program without torch."""

from __future__ import annotations

import json
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml

from napari_cwtnet import load_model
from napari_cwtnet.cli import main
from napari_cwtnet.errors import RequestError
from napari_cwtnet.export import bioimageio_package
from napari_cwtnet.export.onnx_model import export_onnx
from napari_cwtnet.model import Model, preset, save_weights
from napari_cwtnet.model.conditioning import degradation_tensor
from napari_cwtnet.model.network import CwtNet
from napari_cwtnet.model.portable import PortableModel
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation

GREY_LEVEL = 1 / 255


@pytest.fixture
def make_model(tmp_path: Path):
    """A small model of the shipped kind with weights by chance, so that every path counts."""

    def make(scale: int = 2, **changes: object) -> Model:
        config = preset("lite-2", scale, blocks=1, channels=8, **changes)
        torch.manual_seed(0)
        network = CwtNet(config)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.uniform_(-0.1, 0.1)
        path = tmp_path / f"small-x{scale}.safetensors"
        save_weights(path, network, {"reference_share": 0.4 if config.wt_branch else 0.0})
        return load_model(path)

    return make


def run(
    path: Path, model: Model, portable: PortableModel, side: int, known: Degradation = UNKNOWN
) -> tuple[np.ndarray, np.ndarray]:
    """SR by onnxruntime, and by the network itself of the same images and knowledge."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = dict(zip(portable.inputs, portable.example(side), strict=True))
    told = given.get("told", degradation_tensor(known)[None])
    with torch.no_grad():
        network = load_model(model.path).network
        wanted = network(given["lr"], given.get("reference"), degradation=told).sr.clamp(0, 1)
    inputs = {name: image.numpy() for name, image in given.items()}
    return session.run(None, inputs)[0], wanted.numpy()


@pytest.mark.parametrize(
    ("scale", "reference", "degradation", "tile"),
    [
        (2, False, UNKNOWN, None),
        (2, False, None, 32),
        (4, True, Degradation.parse("box+jpeg75-420"), None),
    ],
    ids=["any side", "told as an input", "cross-scale"],
)
def test_pixels_are_the_network_s(
    make_model, tmp_path: Path, scale: int, reference: bool, degradation, tile: int | None
) -> None:
    model, path = make_model(scale), tmp_path / "model.onnx"
    export_onnx(path, model, reference=reference, degradation=degradation, tile=tile)
    portable = PortableModel(load_model(model.path), reference=reference, degradation=degradation)
    for side in (32, 44) if tile is None else (32,):
        got, wanted = run(path, model, portable, side, degradation or UNKNOWN)
        assert got.shape == (1, 3, scale * side, scale * side)
        assert wanted.std() > GREY_LEVEL
        np.testing.assert_allclose(got, wanted, atol=GREY_LEVEL / 50)
    known = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert known["cwtnet.scale"] == str(scale)
    assert known["cwtnet.inputs"] == " ".join(portable.inputs)
    assert known["cwtnet.told"] == ("input" if degradation is None else str(degradation))
    assert "Research Use Only" in known["cwtnet.notice"]


def test_half_precision_stays_within_a_grey_level(make_model, tmp_path: Path) -> None:
    model, path = make_model(), tmp_path / "half.onnx"
    export_onnx(path, model, precision="float16", tile=32)
    got, wanted = run(path, model, PortableModel(load_model(model.path), reference=False), 32)
    assert np.abs(got - wanted).max() <= GREY_LEVEL


def test_a_package_says_what_it_is(
    make_model, tmp_path: Path, data_dir, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = data_dir / "slides/cmu1_small_svs/CMU-1-Small-Region.svs"
    monkeypatch.setattr(bioimageio_package, "sample_slide", lambda: slide)
    path = tmp_path / "model.zip"
    model = make_model()
    code = main(
        ["models", "export", str(model.path), "--format", "bioimageio", "--tile", "48",
         "--degradation", "box+jpeg75-420", "--output", str(path)]
    )  # fmt: skip
    assert code == 0
    with zipfile.ZipFile(path) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    described = yaml.safe_load(parts["rdf.yaml"])
    assert described["type"] == "model"
    given, wanted = (np.load(BytesIO(parts[f"test_{end}.npy"])) for end in ("input", "output"))
    assert given.shape == (1, 3, 48, 48)
    session = onnxruntime.InferenceSession(parts["weights.onnx"])
    got = session.run(None, {"lr": given / 255})[0] * 255
    np.testing.assert_allclose(got, wanted, atol=0.05)
    known = degradation_tensor(Degradation.parse("box+jpeg75-420"))[None]
    with torch.no_grad():
        made = load_model(model.path).network(torch.from_numpy(given) / 255, degradation=known).sr
    np.testing.assert_allclose(wanted, made.clamp(0, 1).numpy() * 255, atol=0.05)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--reference", "next"], "takes no reference"),
        (["--tile", "7"], "even number"),
        (["--degradation", "blurred"], "blurred"),
        (["--format", "bioimageio", "--degradation", "input"], "one input"),
        (["--format", "bioimageio"], "zip"),
    ],
)
def test_what_cannot_be_exported(
    make_model, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    path = tmp_path / "model.onnx"
    assert main(["models", "export", str(make_model().path), "--output", str(path), *words]) == 2
    assert says in capsys.readouterr().err
    assert not path.exists()


def test_a_missing_library_is_named(
    make_model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(RequestError, match=r"onnxscript; install napari-cwtnet\[onnx\]"):
        export_onnx(tmp_path / "model.onnx", make_model())


def test_the_report_is_json(make_model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    words = ["models", "export", str(make_model().path), "--tile", "32", "--output", str(path)]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["output"] == str(path)
