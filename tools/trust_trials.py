"""Error of the sentence of trust: its gain for a slide, and the true gain one octave finer.

Usage: ``python tools/trust_trials.py MODEL --image FILE... [--quality 50 75 95]``

Each image is halved and written as a JPEG pyramid. A model of ×2 then enhances the pyramid's finest
level, and *coarser-scale check* says how much better than bicubic enlargement that is, as it does
on any slide. Here the image itself is the truth, so that the two can be compared. Give images
that took no part in training, of 1,024 pixels a side at least.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tifffile import TiffWriter

from napari_cwtnet import load_model, open_slide
from napari_cwtnet.enhancement import Engine, EnhanceRequest
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import capture, coarser_scale_check
from napari_cwtnet.metrics import psnr
from napari_cwtnet.slides.degradation import Kernel, KernelName
from napari_cwtnet.slides.degrade import shrink

KERNELS: tuple[KernelName, ...] = ("box", "bicubic")
"""How a trial's levels are made, one for all of a trial."""
_SIDE, _LEVELS = 1024, 3


def main() -> None:
    """Print each trial, then the sign's share and the mean absolute error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--image", type=Path, nargs="+", required=True)
    parser.add_argument("--quality", type=int, nargs="+", default=[50, 75, 95])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    engine = Engine(load_model(arguments.model), "cpu", 0)
    found = []
    for path, quality, kernel in product(arguments.image, arguments.quality, KERNELS):
        for number, truth in enumerate(squares(path)):
            said, true = trial(engine, truth, quality, Kernel(kernel))
            found.append((said, true))
            print(
                f"{path.stem} {number} {kernel} JPEG {quality}: says {said:+.2f} dB, "
                f"true {true:+.2f} dB",
                flush=True,
            )
    right = sum((said > 0) == (true > 0) for said, true in found)
    error = statistics.fmean(abs(said - true) for said, true in found)
    print(f"sign right in {right} of {len(found)}, mean absolute error {error:.2f} dB")


def squares(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The middle 1,024² pixels of an image, and where it is wide enough those right of them."""
    image: NDArray[np.uint8] = np.asarray(Image.open(path).convert("RGB"))
    top, left = ((length - _SIDE) // 2 // 16 * 16 for length in image.shape[:2])
    if min(top, left) < 0:
        raise SystemExit(
            f"{path}: {image.shape[1]} × {image.shape[0]} pixels; give {_SIDE} or more."
        )
    for x in (left, left + _SIDE):
        if x + _SIDE <= image.shape[1]:
            yield image[top : top + _SIDE, x : x + _SIDE]


def trial(
    engine: Engine, truth: NDArray[np.uint8], quality: int, kernel: Kernel
) -> tuple[float, float]:
    """Gain over bicubic, dB: by the sentence of trust, and the true one."""
    levels = [shrink(truth, kernel, 2)]
    while len(levels) < _LEVELS:
        levels.append(shrink(levels[-1], kernel, 2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        with TiffWriter(path) as writer:
            for number, level in enumerate(levels):
                writer.write(
                    level,
                    tile=(256, 256),
                    photometric="rgb",
                    compression="jpeg",
                    compressionargs={"level": quality},
                    subsampling=(2, 2),
                    subfiletype=int(number > 0),
                )
        with open_slide(path) as slide:
            side = _SIDE // 2
            request = EnhanceRequest(Region(0, 0, side, side), 1.0, "none")
            field = capture(slide, engine, request)
            tested = coarser_scale_check(slide, engine, field)
            plain = Image.fromarray(slide.read(slide.bounds, 1))
    larger = np.asarray(plain.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
    if tested is None or tested.gain is None:
        raise SystemExit("A field of this size can always be tested; this one was not.")
    return tested.gain, psnr(field.sr, truth, 2) - psnr(larger, truth, 2)


if __name__ == "__main__":
    main()
