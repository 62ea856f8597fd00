"""Where the pages of the documentation are that the docks' help buttons open."""

from __future__ import annotations

DOCUMENTATION = "https://napari-cwtnet.github.io/napari-cwtnet/"


def help_url(page: str) -> str:
    """Address of a page.

    >>> help_url("how-to/compare")
    'https://napari-cwtnet.github.io/napari-cwtnet/how-to/compare/'
    """
    return f"{DOCUMENTATION}{page}/"
