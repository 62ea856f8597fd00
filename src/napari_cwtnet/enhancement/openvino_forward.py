"""OpenVINO as the second runtime: Intel's processors, integrated graphics and NPUs."""

from __future__ import annotations

import importlib.util
import threading
import warnings
from functools import cache
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor

from napari_cwtnet.enhancement.devices import choose_device, list_devices
from napari_cwtnet.enhancement.forward import Forward, choose_dtype, dtype_name
from napari_cwtnet.errors import ModelError, RequestError
from napari_cwtnet.model import Model, NetworkOutput
from napari_cwtnet.model.portable import PortableModel

PREFIX = "openvino:"
"""Before OpenVINO's own name of a device: ``openvino:CPU``."""
_CPU = "CPU"
_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
_CAPABILITIES = {"BF16": torch.bfloat16, "FP16": torch.float16}
_SMALLEST, _GRAPHS = 32, 8


@cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def openvino_version() -> str | None:
    """OpenVINO's version; None where it is not installed."""
    if importlib.util.find_spec("openvino") is None:
        return None
    import openvino

    return str(openvino.__version__).partition("-")[0]


@cache
def openvino_devices() -> dict[str, str]:
    """OpenVINO's devices with a description, empty if it is not installed.

    Names begin with :data:`PREFIX`.
    """
    version = openvino_version()
    if version is None:
        return {}
    found = {}
    for name in _core().available_devices:
        words = str(_core().get_property(name, "FULL_DEVICE_NAME"))
        if name.startswith("GPU"):
            words += f", {_core().get_property(name, 'GPU_DEVICE_TOTAL_MEM_SIZE') / 2**30:.0f} GiB"
        found[PREFIX + name] = f"{words}, by OpenVINO {version}"
    return found


def find_openvino_device(name: str) -> str:
    """The device with that name, which begins with :data:`PREFIX`, as OpenVINO calls it.

    Raises
    ------
    RequestError
        If OpenVINO is not installed, or knows no such device.
    """
    found = openvino_devices()
    if not found:
        raise RequestError(f"Device {name!r} wants OpenVINO; install napari-cwtnet[openvino].")
    if name not in found:
        raise RequestError(f"Device {name!r} is not available; choose one of {', '.join(found)}.")
    return name.removeprefix(PREFIX)


def choose_openvino_dtype(dtype: str, name: str) -> torch.dtype:
    """The precision of that name; ``auto`` is the fastest that the device has units for.

    Parameters
    ----------
    dtype : str
        See :func:`~napari_cwtnet.enhancement.forward.choose_dtype`.
    name : str
        Device with :data:`PREFIX`.

    Raises
    ------
    RequestError
        If the name is unknown, or the device would compute in another precision.
    """
    capable = _core().get_property(find_openvino_device(name), "OPTIMIZATION_CAPABILITIES")
    offered = [own for word, own in _CAPABILITIES.items() if word in capable] + [torch.float32]
    if dtype == "auto":
        return offered[0]
    chosen = choose_dtype(dtype, torch.device("cpu"))
    if chosen not in offered:
        raise RequestError(
            f"Device {name!r} has no units for {dtype}; choose auto or one of "
            f"{', '.join(map(dtype_name, offered))}."
        )
    return chosen


def inference_devices() -> dict[str, str]:
    """Devices that run a model, with a description: torch's, best first, then OpenVINO's."""
    return list_devices() | openvino_devices()


def full_device_name(name: str) -> str:
    """The device that a name such as ``auto`` or ``cuda`` means.

    Raises
    ------
    RequestError
        If the device does not exist.
    """
    if name.startswith(PREFIX):
        return PREFIX + find_openvino_device(name)
    return str(choose_device(name))


def make_forward(model: Model, device: str, dtype: str) -> Forward:
    """Forward passes on a device, by the runtime that its name says.

    Parameters
    ----------
    model : Model
        Network and weights.
    device : str
        A name of :func:`inference_devices`, ``cuda`` or ``auto``, which is torch's best.
    dtype : str
        See :func:`~napari_cwtnet.enhancement.forward.choose_dtype`.

    Raises
    ------
    RequestError
        If there is no such device or precision.
    """
    if device.startswith(PREFIX):
        chosen = choose_openvino_dtype(dtype, device)
        return OpenVinoForward(model, device, chosen, torch.get_num_threads())
    place = choose_device(device)
    return Forward(model, place, choose_dtype(dtype, place))


class OpenVinoForward(Forward):
    """Forward passes of a model by OpenVINO; recorded ones by torch, which alone can record.

    Parameters
    ----------
    model : Model
        Network and weights.
    name : str
        Device with :data:`PREFIX`.
    dtype : torch.dtype
        Precision of the features.
    threads : int
        Passes that a processor computes side by side, a thread each.

    Raises
    ------
    RequestError
        If there is no such device.
    """

    def __init__(self, model: Model, name: str, dtype: torch.dtype, threads: int) -> None:
        self._name = find_openvino_device(name)
        super().__init__(model, torch.device("cpu"), dtype)
        self.device_name = name
        self._threads = threads
        self._converting = threading.Lock()
        self._converted: dict[bool, Any] = {}
        self._compiled: LRUCache[Any, Any] = LRUCache(_GRAPHS)
        self._requests = threading.local()

    @property
    def runtime(self) -> str:
        """OpenVINO with its version."""
        return f"OpenVINO {openvino_version()}"

    def _pass(
        self,
        lr: Tensor,
        reference: Tensor | None,
        degradation: Tensor | None,
        dtype: torch.dtype,
        record: bool,
    ) -> NetworkOutput:
        if record:
            return super()._pass(lr, reference, degradation, dtype, record)
        given = [lr] if reference is None else [lr, reference]
        if self.model.takes_degradation:
            if degradation is None:
                degradation = lr.new_zeros(PortableModel.told_shape(lr.shape[0]))
            given.append(degradation)
        arrays = [one.contiguous().numpy() for one in given]
        graph = self._graph(reference is not None, dtype, tuple(one.shape for one in arrays))
        found = self._request(graph).infer(arrays, share_inputs=True)
        sr, *error = (torch.from_numpy(found[number]) for number in range(len(found)))
        return NetworkOutput(sr=sr, error=error[0] if error else None)

    def _request(self, graph: Any) -> Any:
        """An inference request of this thread: it holds the memory of one pass."""
        requests = self._requests.__dict__.setdefault("of", LRUCache(_GRAPHS))
        if id(graph) not in requests:
            requests[id(graph)] = graph, graph.create_infer_request()
        return requests[id(graph)][1]

    def _graph(
        self, with_reference: bool, dtype: torch.dtype, shapes: tuple[tuple[int, ...], ...]
    ) -> Any:
        # A processor takes any size; other devices are faster, or work at all, with a fixed one.
        key = with_reference, dtype, None if self._name == _CPU else shapes
        with self._converting:
            if key not in self._compiled:
                if with_reference not in self._converted:
                    self._converted[with_reference] = self._convert(with_reference)
                model = self._converted[with_reference].clone()
                if key[2] is not None:
                    model.reshape(dict(zip(model.inputs, map(list, shapes), strict=True)))
                self._compiled[key] = _core().compile_model(model, self._name, self._config(dtype))
            return self._compiled[key]

    def _config(self, dtype: torch.dtype) -> dict[str, Any]:
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[dtype]}
        if self._name == _CPU:
            config |= {"NUM_STREAMS": self._threads, "INFERENCE_NUM_THREADS": self._threads}
        return config

    def _convert(self, with_reference: bool) -> Any:
        """The network as OpenVINO's graph, of any size.

        Raises
        ------
        ModelError
            If it contains what OpenVINO has no counterpart for.
        """
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        # Not openvino.convert_model, which reports its use to its makers over the network.
        front_end = FrontEndManager().load_by_framework("pytorch")
        plain = PortableModel(
            self.model,
            reference=with_reference,
            degradation=None,
            clip=False,
            error=self.model.network.predicts_error,
        )
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's, of checks that hold for every size
            try:
                traced = TorchScriptPythonDecoder(
                    plain, example_input=plain.example(_SMALLEST), shared_memory=False
                )
                return front_end.convert(front_end.load(traced))
            except Exception as error:
                raise ModelError(
                    f"Model {self.model.name!r} cannot be computed by OpenVINO: its search or a "
                    "layer has no counterpart there; choose device cpu."
                ) from error
