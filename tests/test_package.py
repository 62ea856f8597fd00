"""The package as a whole: quick to import, lazy, and free of napari outside of ``plugin``."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib import metadata, resources

import pytest
import yaml

import napari_cwtnet


def run_python(code: str) -> str:
    """Run ``code`` in a fresh interpreter and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_takes_less_than_100_ms() -> None:
    code = """
        import time
        start = time.perf_counter()
        import napari_cwtnet
        print(time.perf_counter() - start)
    """
    # the quickest of several: a busy machine slows an import down, nothing speeds it up
    assert min(float(run_python(code)) for _ in range(5)) < 0.100


def test_import_loads_neither_torch_nor_napari() -> None:
    code = """
        import sys, napari_cwtnet
        slow = {"torch", "numpy", "napari", "qtpy", "magicgui", "importlib.metadata"}
        print(sorted(slow & set(sys.modules)))
    """
    assert run_python(code) == "[]"


@pytest.mark.parametrize("name", napari_cwtnet.__all__)
def test_public_name_resolves(name: str) -> None:
    assert getattr(napari_cwtnet, name) is not None
    assert name in dir(napari_cwtnet)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"napari_cwtnet.*no_such_name"):
        _ = napari_cwtnet.no_such_name


def test_version_is_the_distribution_s() -> None:
    assert metadata.version("napari-cwtnet") == napari_cwtnet.__version__


def test_manifest_names_an_icon_that_is_there() -> None:
    manifest = resources.files("napari_cwtnet").joinpath("napari.yaml").read_text(encoding="utf-8")
    package, _, name = yaml.safe_load(manifest)["icon"].partition(":")
    assert "<svg" in resources.files(package).joinpath(name).read_text(encoding="utf-8")


def test_package_is_marked_as_typed() -> None:
    assert resources.files("napari_cwtnet").joinpath("py.typed").is_file()


def test_engine_imports_without_napari_and_qt() -> None:
    code = """
        import sys
        from importlib import import_module
        from pkgutil import walk_packages

        BLOCKED = {"napari", "qtpy", "magicgui", "superqt", "vispy", "npe2", "pyqtgraph",
                   "PyQt5", "PyQt6", "PySide2", "PySide6"}

        class NotInstalled:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in BLOCKED:
                    raise ModuleNotFoundError(f"No module named {name!r} (blocked)", name=name)
                return None

        sys.meta_path.insert(0, NotInstalled())
        import napari_cwtnet

        def is_engine(name):
            ring = name.split(".")[1]
            return ring != "plugin" and not name.endswith(".__main__")

        names = []
        # walking imports every package on its way, and may fail at the plugin's only
        walk = walk_packages(napari_cwtnet.__path__, "napari_cwtnet.", onerror=lambda name: None)
        for module in walk:
            if is_engine(module.name):
                import_module(module.name)
                names.append(module.name)
        print(*names)
    """
    imported = run_python(code).split()
    assert {"napari_cwtnet.errors", "napari_cwtnet.geometry"} <= set(imported)
    assert not any(name.startswith("napari_cwtnet.plugin") for name in imported)
