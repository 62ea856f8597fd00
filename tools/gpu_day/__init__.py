"""A day's work on a CUDA machine in one command: tests, bench, and the paper-size models.

Usage, in a clone::

    PYTHONPATH=src:tools python -m gpu_day --pack IMAGES
    PYTHONPATH=src:tools python -m gpu_day --output runs/gpu-day --minutes 8

The first is for the machine that has the images. See docs/how-to/train-on-a-gpu.md.
"""
