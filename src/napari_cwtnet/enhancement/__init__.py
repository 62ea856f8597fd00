"""A region in, an enhanced region out: request, plan, tiles, blending, quality."""

from napari_cwtnet.enhancement.blend import Canvas
from napari_cwtnet.enhancement.devices import choose_device, list_devices
from napari_cwtnet.enhancement.engine import Engine, TileResult
from napari_cwtnet.enhancement.plan import RESEARCH_USE, Plan, make_plan
from napari_cwtnet.enhancement.quality import Quality, enlarged, measure, truth
from napari_cwtnet.enhancement.request import EnhanceRequest, suiting_downsample
from napari_cwtnet.enhancement.result import Result, enhance, provenance

__all__ = [
    "RESEARCH_USE",
    "Canvas",
    "Engine",
    "EnhanceRequest",
    "Plan",
    "Quality",
    "Result",
    "TileResult",
    "choose_device",
    "enhance",
    "enlarged",
    "list_devices",
    "make_plan",
    "measure",
    "provenance",
    "suiting_downsample",
    "truth",
]
