"""Which grid a view gets: that of the view before, where both show the same place."""

from __future__ import annotations

import threading
from collections.abc import Hashable

from cachetools import LRUCache

from napari_cwtnet.enhancement.grid import Grid
from napari_cwtnet.enhancement.plan import Plan, on_grid
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide

_KEPT = 64


class GridMemory:
    """The newest view of each slide, model, downsample, phase and mode; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: LRUCache[Hashable, tuple[Region, Grid]] = LRUCache(_KEPT)

    def shared(self, slide: Slide, plan: Plan) -> Plan:
        """The plan on the grid of the view before, if they overlap, so that tiles are found again.

        Else the plan as it is; either way its view is the newest from now on.
        """
        key = (slide.fingerprint, plan.model_name, plan.downsample, plan.lattice.phase, plan.mode)
        with self._lock:
            region, grid = self._last.get(key, (None, plan.lattice.grid))
            if region is not None and region.intersection(plan.region) is not None:
                plan = on_grid(plan, grid)
            self._last[key] = plan.region, plan.lattice.grid
        return plan
