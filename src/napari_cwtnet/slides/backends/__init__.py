"""Backends, one a kind of file: each reads the stored levels of the files it knows."""
