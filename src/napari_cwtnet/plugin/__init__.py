"""The napari plugin: reader, docks and what is between them; the only ring that knows of napari."""

from __future__ import annotations

import os
import sys

if "torch" not in sys.modules:
    # Idle OpenMP threads that spin would take the cores that draw the picture; read once by torch.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
