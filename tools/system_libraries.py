"""Install, or ask for, the system libraries that napari's window needs on Linux.

Usage: ``python tools/system_libraries.py test|lint|demo``

Does nothing where everything is there, and nothing on other systems than Linux. What is missing is
installed with ``apt-get`` as root or through ``sudo`` without a password. Elsewhere the one line to
type is printed: ``test`` and ``lint`` then stop with status 1, while ``demo``, which can do without
a window, goes on.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import sys

# Debian's and Ubuntu's name of the package that brings each library
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
}
WINDOW_LIBRARIES = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}
PROGRAMS = {"Xvfb": "xvfb", "xdpyinfo": "x11-utils"}  # vispy asks xdpyinfo for the resolution


def missing_packages(purpose: str) -> list[str]:
    """Give the packages that ``purpose`` needs and this machine lacks.

    Parameters
    ----------
    purpose : {"test", "lint", "demo"}
        ``test`` draws into a virtual screen, ``lint`` only imports Qt, ``demo`` opens a window if
        there is a screen.

    Returns
    -------
    list of str
        Names of Debian packages, sorted.
    """
    if not sys.platform.startswith("linux"):
        return []
    libraries, programs = dict(QT_LIBRARIES), {}
    if purpose == "test":
        libraries |= WINDOW_LIBRARIES
        programs = PROGRAMS
    elif purpose == "demo":
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            return []
        libraries |= WINDOW_LIBRARIES
    packages = {package for name, package in libraries.items() if not _loads(name)}
    packages |= {package for name, package in programs.items() if shutil.which(name) is None}
    return sorted(packages)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _privilege() -> list[str] | None:
    """Give what to put before ``apt-get``: nothing for root, sudo, or None if neither will do."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(
        ["sudo", "-n", "true"], check=False, capture_output=True, stdin=subprocess.DEVNULL
    )
    return ["sudo", "-n"] if asked.returncode == 0 else None


def _install(packages: list[str], privilege: list[str]) -> None:
    apt = [*privilege, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    for command in (
        [*apt, "update"],
        [*apt, "install", "-y", "--no-install-recommends", *packages],
    ):
        print("+", shlex.join(command), flush=True)
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def main(purpose: str) -> int:
    """Install missing libraries, or print the line to type; return the exit status."""
    missing = missing_packages(purpose)
    if not missing:
        return 0
    print("Missing on this system:", " ".join(missing), flush=True)
    privilege = _privilege()
    if privilege is not None:
        _install(missing, privilege)
        missing = missing_packages(purpose)
        if not missing:
            return 0
    line = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(missing)}"
    print(
        "These libraries could not be installed from here. Please type, as an administrator,\n\n"
        f"    sudo sh -c '{line}'\n\n"
        "(on other systems than Debian and Ubuntu: the packages of like names), then run again.",
        flush=True,
    )
    if purpose == "demo":
        print("Going on without them: the demo writes its files, no window opens.", flush=True)
        return 0
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in {"test", "lint", "demo"}:
        sys.exit("usage: system_libraries.py test|lint|demo")
    sys.exit(main(sys.argv[1]))
