"""Layers and canvas: from what the viewer shows to frozen requests, and results back."""
