"""OpenVINO as the runtime: the pixels of torch, by other means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from slides.pattern import write_ome

from napari_cwtnet import enhance, load_model, open_slide
from napari_cwtnet.enhancement import Engine, EnhanceRequest, dtype_name, inference_devices
from napari_cwtnet.enhancement.openvino_forward import PREFIX, choose_openvino_dtype
from napari_cwtnet.errors import ModelError, RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import capture
from napari_cwtnet.model import CwtNet, Model, preset, save_weights
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation

pytest.importorskip("openvino", reason="openvino is not installed: napari-cwtnet[openvino]")

CPU = f"{PREFIX}CPU"
SVS = "slides/cmu1_small_svs/CMU-1-Small-Region.svs"
TISSUE = (700, 900, 200, 150)


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Model]:
    """A small model with weights by chance, so that every path counts."""

    def make(scale: int = 4, **changes: Any) -> Model:
        network = CwtNet(preset("lite-2", scale, **({"blocks": 1, "channels": 8} | changes)))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.rand(parameter.shape, generator=generator) * 0.2 - 0.1)
        path = tmp_path / f"by-chance-x{scale}.safetensors"
        save_weights(path, network, {"reference_share": 0.4 if scale > 2 else 0.0})
        return load_model(path)

    return make


def image(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)


def grey_levels(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one.clamp(0, 1) - other.clamp(0, 1)).abs().max()) * 255


@pytest.mark.parametrize("name", ["cwtnet-lite-x2", "cwtnet-lite-x4", "cwtnet-lite-x8"])
def test_tissue_is_within_a_grey_level_of_torch(data_dir: Any, name: str) -> None:
    model = load_model(name)
    dtypes = {"float32", dtype_name(choose_openvino_dtype("auto", CPU))}
    with open_slide(data_dir / SVS) as slide:
        result = enhance(slide, TISSUE, model=model, device="cpu", dtype="float32")
        plain = result.image
        made = [enhance(slide, TISSUE, model=model, device=CPU, dtype=one) for one in dtypes]
    assert plain.std() > 20
    for done in made:
        assert (done.error is None) == (result.error is None)
        if done.error is not None:
            np.testing.assert_allclose(done.error, result.error, rtol=0.1, atol=0.2)
        assert np.abs(done.image.astype(int) - plain).max() <= 1
        assert done.provenance["device"] == CPU
        assert ", OpenVINO 20" in done.provenance["software"]


def test_reference_and_degradation_are_inputs(make_model: Callable[..., Model]) -> None:
    model = make_model()
    assert model.takes_reference
    assert model.takes_degradation
    torch_s, openvino_s = (Engine(model, name, dtype="float32") for name in ("cpu", CPU))
    jpeg = (Degradation.parse("box+jpeg50-420"), UNKNOWN)
    given = [
        (image(40, 56), None, (UNKNOWN, UNKNOWN)),
        (image(40, 56), image(80, 112, 1), (UNKNOWN, UNKNOWN)),
        (image(40, 56), image(80, 112, 1), jpeg),
        (image(62, 34), image(124, 68, 1), jpeg),
    ]
    outputs = [openvino_s.infer(*one).sr for one in given]
    for one, output in zip(given, outputs, strict=True):
        assert grey_levels(torch_s.infer(*one).sr, output) < 0.01
    for one, other in ((0, 1), (1, 2)):
        assert grey_levels(outputs[one], outputs[other]) > 1


def test_values_beyond_the_range_are_not_clipped(make_model: Callable[..., Model]) -> None:
    found = Engine(make_model(2), CPU).infer(image(32, 32), None).sr
    assert found.min() < 0
    assert found.max() > 1


def test_attention_is_recorded_by_torch(make_model: Callable[..., Model]) -> None:
    lr, reference = image(32, 32), image(64, 64, 1)
    model = make_model()
    wanted = Engine(model, "cpu", dtype="float32").infer(lr, reference, record=True)
    found = Engine(model, CPU, dtype="float32").infer(lr, reference, record=True)
    assert len(found.blocks) == 1
    torch.testing.assert_close(found.blocks[0].relevance, wanted.blocks[0].relevance)


def test_tiles_side_by_side_have_the_bytes_of_tiles_in_turn(
    make_model: Callable[..., Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(2, tile=64, halo=8)
    images = []
    with open_slide(write_ome(tmp_path / "pattern.ome.tif")) as slide:
        for workers in (1, 3):
            monkeypatch.setattr(
                "napari_cwtnet.enhancement.engine.share_cores", lambda _, n=workers: (n, 1)
            )
            images.append(enhance(slide, (0, 0, 400, 300), model=model, device=CPU).image)
    np.testing.assert_array_equal(*images)


def test_values_that_are_not_finite_are_refused(make_model: Callable[..., Model]) -> None:
    model = make_model(2)
    with torch.no_grad():
        model.network.head.weight.fill_(float("inf"))
    with pytest.raises(ModelError, match="not finite"):
        Engine(model, CPU).infer(image(32, 32), None)


def test_what_openvino_cannot_compute_is_refused(make_model: Callable[..., Model]) -> None:
    engine = Engine(make_model(4, search="full"), CPU)
    with pytest.raises(ModelError, match="choose device cpu"):
        engine.infer(image(32, 32), image(64, 64))


def test_device_is_listed_and_refused_by_name(make_model: Callable[..., Model]) -> None:
    assert "by OpenVINO 20" in inference_devices()[CPU]
    with pytest.raises(RequestError, match=f"'openvino:NPU7' is not available.*{CPU}"):
        Engine(make_model(2), "openvino:NPU7")


def test_precision_that_the_device_would_not_compute_in_is_refused() -> None:
    own = choose_openvino_dtype("auto", CPU)
    assert choose_openvino_dtype("float32", CPU) == torch.float32
    for name in {"bfloat16", "float16"} - {dtype_name(own)}:
        with pytest.raises(RequestError, match=f"no units for {name}"):
            choose_openvino_dtype(name, CPU)


def test_nothing_is_reported_over_the_network(
    make_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = pytest.importorskip("openvino_telemetry")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("telemetry")

    monkeypatch.setattr(telemetry.Telemetry, "send_event", refuse)
    monkeypatch.setattr(telemetry.Telemetry, "start_session", refuse)
    Engine(make_model(2), CPU).infer(image(32, 32), None)


def test_a_recorded_field_says_that_torch_computed_it(
    make_model: Callable[..., Model], tmp_path: Path
) -> None:
    model = make_model(2)
    with open_slide(write_ome(tmp_path / "a.ome.tif")) as slide:
        request = EnhanceRequest(Region(0, 0, 64, 64), 1.0, "none")
        field = capture(slide, Engine(model, CPU, dtype="float32"), request)
    assert field.provenance["device"] == "cpu"
    assert ", torch " in field.provenance["software"]
