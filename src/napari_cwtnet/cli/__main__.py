"""``python -m napari_cwtnet.cli``."""

import sys

from napari_cwtnet.cli import main

sys.exit(main())
