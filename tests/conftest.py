"""What every test relies on: one torch thread, and napari settings that are nobody's own."""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path

_settings = tempfile.TemporaryDirectory(prefix="napari-cwtnet-")
atexit.register(_settings.cleanup)

# Before torch and napari are imported: both read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NAPARI_CONFIG", str(Path(_settings.name) / "settings.yaml"))
