"""A region in, an enhanced region out: request, plan, tiles, blending, quality."""

from napari_cwtnet.enhancement.blend import Canvas
from napari_cwtnet.enhancement.devices import choose_device, list_devices
from napari_cwtnet.enhancement.engine import Engine, TileResult
from napari_cwtnet.enhancement.grid import Grid
from napari_cwtnet.enhancement.grid_memory import GridMemory
from napari_cwtnet.enhancement.numerics import choose_dtype, dtype_name, own_dtype
from napari_cwtnet.enhancement.plan import RESEARCH_USE, Plan, make_plan
from napari_cwtnet.enhancement.quality import Quality, enlarged, measure, truth
from napari_cwtnet.enhancement.release import give_back_memory
from napari_cwtnet.enhancement.request import EnhanceRequest, suiting_downsample
from napari_cwtnet.enhancement.result import Result, enhance, provenance
from napari_cwtnet.enhancement.tally import Tally
from napari_cwtnet.enhancement.threads import free_cores

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
    "Tally",
    "TileResult",
    "choose_device",
    "choose_dtype",
    "dtype_name",
    "enhance",
    "enlarged",
    "free_cores",
    "give_back_memory",
    "list_devices",
    "make_plan",
    "measure",
    "own_dtype",
    "provenance",
    "suiting_downsample",
    "truth",
]
