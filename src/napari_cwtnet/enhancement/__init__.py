"""A region in, an enhanced region out: request, plan, tiles, blending, quality."""

from napari_cwtnet.enhancement.blend import Canvas
from napari_cwtnet.enhancement.devices import (
    choose_device,
    free_cores,
    list_devices,
    release_memory,
)
from napari_cwtnet.enhancement.engine import Engine, TileCounts, TileResult
from napari_cwtnet.enhancement.forward import choose_dtype, dtype_name, own_dtype
from napari_cwtnet.enhancement.openvino_forward import full_device_name, inference_devices
from napari_cwtnet.enhancement.plan import (
    RESEARCH_USE,
    EnhanceRequest,
    GridMemory,
    Plan,
    make_plan,
    suiting_downsample,
)
from napari_cwtnet.enhancement.quality import Quality, enlarged, measure, truth
from napari_cwtnet.enhancement.result import Result, enhance, provenance
from napari_cwtnet.enhancement.tiling import Grid

__all__ = [
    "RESEARCH_USE",
    "Canvas",
    "Engine",
    "EnhanceRequest",
    "Grid",
    "GridMemory",
    "Plan",
    "Quality",
    "Result",
    "TileCounts",
    "TileResult",
    "choose_device",
    "choose_dtype",
    "dtype_name",
    "enhance",
    "enlarged",
    "free_cores",
    "full_device_name",
    "inference_devices",
    "list_devices",
    "make_plan",
    "measure",
    "own_dtype",
    "provenance",
    "release_memory",
    "suiting_downsample",
    "truth",
]
