"""Look into the wheel that was built: everything that it needs, and nothing else.

Usage: ``python tools/check_wheel.py FOLDER_OR_WHEEL``
"""

from __future__ import annotations

import sys
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
NEEDED = (
    "napari_cwtnet/napari.yaml",
    "napari_cwtnet/py.typed",
    "napari_cwtnet/plugin/icon.svg",
    "napari_cwtnet/evaluation/reproduce/table_sources.yaml",
    "napari_cwtnet/model/weights/*.safetensors",
    "napari_cwtnet/training/recipes/*.yaml",
    "*.dist-info/entry_points.txt",
    "*.dist-info/licenses/LICENSE",
)


def findings(names: set[str], source: set[str]) -> list[str]:
    """Give what is wrong with a wheel, in words; empty if nothing is.

    Parameters
    ----------
    names : set of str
        Of the files in the wheel.
    source : set of str
        Of the files of the package in the clone, as they are called in a wheel.
    """
    wrong = [
        f"nothing matches {pattern}"
        for pattern in NEEDED
        if not any(fnmatchcase(name, pattern) for name in names)
    ]
    own = {name for name in names if ".dist-info/" not in name}
    wrong += [f"missing: {name}" for name in sorted(source - own)]
    wrong += [f"should not be there: {name}" for name in sorted(own - source)]
    return wrong


def source_files() -> set[str]:
    """Give the files of the package in this clone, compiled ones left out."""
    files = (path for path in (SOURCE / "napari_cwtnet").rglob("*") if path.is_file())
    return {f.relative_to(SOURCE).as_posix() for f in files if f.suffix != ".pyc"}


def main(place: Path) -> int:
    """Check every wheel there; give the exit status."""
    wheels = sorted(place.glob("*.whl")) if place.is_dir() else [place]
    source = source_files()
    wrong = [] if wheels else [f"no wheel in {place}"]
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
        wrong += [f"{wheel.name}: {finding}" for finding in findings(names, source)]
    print("\n".join(wrong) or f"{', '.join(wheel.name for wheel in wheels)}: complete")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_wheel.py FOLDER_OR_WHEEL")
    sys.exit(main(Path(sys.argv[1])))
