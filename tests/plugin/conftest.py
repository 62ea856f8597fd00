"""What GUI tests share; all of them are left out where napari is not installed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from slides.pattern import write_ome, write_tiff

pytest.importorskip("napari", reason="napari is not installed: pip install 'napari-cwtnet[gui]'")

SVS = "slides/cmu1_small_svs/CMU-1-Small-Region.svs"


@pytest.fixture(autouse=True, scope="session")
def installed_plugins() -> Iterator[None]:
    """What is installed, for viewers and for their model alone; it stays so for all tests.

    napari's fixture has every manifest read again for each viewer.
    """
    from npe2 import PluginManager, PluginManifest

    found = list(PluginManifest.discover())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManifest, "discover", lambda paths=(): iter(found))
        PluginManager.instance().discover()
        yield


@pytest.fixture(autouse=True, scope="session")
def settings_not_written() -> None:
    """napari's settings hold within a test only; it would write them at each change."""
    from napari.settings import get_settings

    get_settings()._save_on_change = False


@pytest.fixture(autouse=True, scope="session")
def modules_not_searched() -> Iterator[None]:
    """Garbage collections look only at what tests make: there are several in each."""
    for name in ("torch", "napari.qt", "napari_cwtnet.plugin.app"):
        import_module(name)

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Each test begins without the networks, tiles and grids of the tests before it."""
    from napari_cwtnet.enhancement import GridMemory
    from napari_cwtnet.plugin.tasks.device import ENGINES

    yield
    ENGINES.release()
    ENGINES.grids = GridMemory()
    # Thousands of napari's objects outlive each viewer, and would be searched in every later test.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pixel sizes and recent slides are remembered; never the user's own."""
    monkeypatch.setenv("CWTNET_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture(scope="session")
def ome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OME-TIFF of the analytic pattern: 731 × 517, levels 1, 2 and 4, 0.25 µm/px."""
    return write_ome(tmp_path_factory.mktemp("ome") / "pattern.ome.tif")


@pytest.fixture(scope="session")
def tiff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TIFF of the same pattern, without a pixel size."""
    return write_tiff(tmp_path_factory.mktemp("tiff") / "pattern.tif")


# Of the session, so that a missing file skips a test before its viewer is made: napari's fixture
# breaks when a test is skipped after that.
@pytest.fixture(scope="session")
def svs(data_dir: Any) -> Path:
    """A real slide: 2220 × 2967, one level, 0.499 µm/px."""
    return data_dir / SVS


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What napari notifies the user of."""
    from napari.utils.notifications import notification_manager

    seen: list[str] = []

    def note(notification: Any) -> None:
        seen.append(notification.message)

    notification_manager.notification_ready.connect(note)
    yield seen
    notification_manager.notification_ready.disconnect(note)


@pytest.fixture
def dock_of(make_napari_viewer: Callable[..., Any], qtbot: Any) -> Callable[..., Any]:
    """Makes a viewer with the Slide dock in it and a slide opened by it."""

    def make(path: Path | None = None, **options: Any) -> tuple[Any, Any]:
        viewer = make_napari_viewer(**options)
        _, dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Slide")
        if path is not None:
            dock.open_slide(path)
            qtbot.waitUntil(lambda: dock.form.overview.has_picture, timeout=20000)
            qtbot.wait(100)
        return viewer, dock

    return make


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of tiny models: ``tiny-x2``, ``other-x2`` and ``tiny-x4``; no other is known."""
    from napari_cwtnet.model import registry
    from plugin.enhance_help import write_model

    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("CWTNET_MODELS", str(folder))
    monkeypatch.setattr(registry, "_SHIPPED", tmp_path / "nothing")
    write_model(folder, "tiny-x2", 2, seed=1)
    write_model(folder, "other-x2", 2, seed=2)
    write_model(folder, "tiny-x4", 4, seed=3)
    return folder


@pytest.fixture
def enhance_dock(
    make_napari_viewer: Callable[..., Any], qtbot: Any, models: Path
) -> Callable[..., Any]:
    """Makes a viewer with a slide and the Enhance dock; every view is at source level 1."""

    def make(
        path: Path, model: str = "tiny-x2", level: float | None = 1.0, **options: Any
    ) -> tuple[Any, Any]:
        viewer = make_napari_viewer(**options)
        viewer.open(path, plugin="napari-cwtnet")
        _, dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Enhance")
        dock.form.model.setCurrentText(model)
        dock.form.level.setCurrentIndex(dock.form.level.findData(level))
        viewer.reset_view()
        return viewer, dock

    return make


@pytest.fixture
def learnable(tmp_path: Path) -> Path:
    """A slide that a small model learns from within seconds."""
    from plugin.finetune_help import write_slide

    return write_slide(tmp_path / "learnable.tif")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the user's runs."""
    monkeypatch.setenv("CWTNET_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def tune_dock(
    make_napari_viewer: Callable[..., Any],
    qtbot: Any,
    models: Path,
    runs: Path,
    learnable: Path,
    tmp_path: Path,
) -> Iterator[Callable[..., Any]]:
    """Makes a viewer with a slide and the Fine-tune dock, set to a quick recipe."""
    from qtpy.compat import isalive

    from plugin.finetune_help import no_run_is_left, write_recipe, write_start

    write_start(models)
    docks = []

    def make(model: str = "tiny-x2", **fields: Any) -> tuple[Any, Any]:
        viewer = make_napari_viewer()
        viewer.open(learnable, plugin="napari-cwtnet")
        _, dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Fine-tune")
        dock.form.model.setCurrentText(model)
        dock.form.recipe.line.setText(str(write_recipe(tmp_path, **fields)))
        docks.append(weakref.ref(dock))
        return viewer, dock

    yield make
    for dock in filter(None, (known() for known in docks)):
        if isalive(dock):  # a test that failed has left its run, which must not outlive the folders
            dock.controller.cancel()
    dock = None
    qtbot.waitUntil(no_run_is_left, timeout=60000)
