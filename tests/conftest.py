"""What every test relies on: one torch thread, and napari settings that are nobody's own."""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from pathlib import Path

import pytest

_settings = tempfile.TemporaryDirectory(prefix="napari-cwtnet-")
atexit.register(_settings.cleanup)

# Before torch and napari are imported: both read these once. The settings are each worker's own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["NAPARI_CONFIG"] = str(Path(_settings.name) / "settings.yaml")
if sys.platform.startswith("linux"):
    # pytest-xvfb starts an X server, also where there is a Wayland screen
    os.environ.setdefault("QT_QPA_PLATFORM", "xcb")


class DataDir:
    """Real slides and images; ``data_dir / "slides/…"`` skips a test, by name, without them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __truediv__(self, name: str) -> Path:
        path = self.root / name
        if not path.exists():
            pytest.skip(f"test data {name!r} is not there")
        return path


@pytest.fixture(scope="session")
def data_dir() -> DataDir:
    """Folder of test data: ``$CWTNET_TEST_DATA``, else ``shared/data`` beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    return DataDir(Path(os.environ.get("CWTNET_TEST_DATA", beside)))
