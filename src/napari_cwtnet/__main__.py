"""``python -m napari_cwtnet``."""

import sys

from napari_cwtnet.cli import main

sys.exit(main())
