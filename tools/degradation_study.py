"""The value of the known degradation: a model on a slide's stored level, with true and false input.

Usage: ``python tools/degradation_study.py SLIDE... --model cwtnet-lite-x2``

Prints the gain over bicubic (PSNR, dB; means over four fields with tissue) for the degradation
from the file, for wrong qualities, for "clean" and for "unknown", and the visibility of the codec's
8 × 8 grid: the mean step across block borders over the mean step inside blocks.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from napari_cwtnet import enhance, load_model, open_slide
from napari_cwtnet.enhancement.check import tissue_fields
from napari_cwtnet.slides.array_slide import ArraySlide
from napari_cwtnet.slides.check_levels import check_levels
from napari_cwtnet.slides.degradation import UNKNOWN, Compression, Degradation, Kernel

_WRONG = (50, 60, 75, 90)
_BLOCK = 8


def versions(true: Degradation) -> Iterator[tuple[str, Degradation]]:
    """Names and degradations to pass to the model."""
    yield "true", true
    for quality in _WRONG:
        wrong = Compression("jpeg", quality, (true.compression or Compression("none")).subsampling)
        if wrong.quality != (true.compression and true.compression.quality):
            yield f"JPEG {quality}", replace(true, compression=wrong)
    yield "clean", replace(true, compression=Compression("none"))
    for kernel in (Kernel("bicubic"), Kernel("box")):
        if true.kernel != kernel:
            yield f"kernel {kernel}", replace(true, kernel=kernel)
    yield "compression unknown", true.without("compression")
    yield "kernel unknown", true.without("kernel", "sharpening")
    yield "unknown", UNKNOWN


def blockiness(image: NDArray[np.uint8], scale: int, origin: int = 0) -> float:
    """Mean step across the borders of the blocks of LR, over the mean step elsewhere."""
    grey = image.mean(2, dtype=np.float64)
    steps = np.abs(np.diff(grey, axis=1)).mean(0)
    places = np.arange(1, grey.shape[1])
    borders = (places + origin * scale) % (_BLOCK * scale) == 0
    return float(steps[borders].mean() / steps[~borders].mean())


def main() -> None:
    """Print a table a slide."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slides", type=Path, nargs="+")
    parser.add_argument("--model", required=True)
    parser.add_argument("--side", type=int, default=512)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(arguments.model)
    for path in arguments.slides:
        print(f"| {path.name}, known | gain, dB | blockiness | of bicubic |\n|---|---|---|---|")
        with open_slide(path) as slide:
            fields = tissue_fields(slide, side=arguments.side)
            levels = [check_levels(slide, field, model.scale, model.scale) for field in fields]
        true = levels[0].slide.degradation(model.scale)
        for name, known in versions(true):
            gains, blocks, plain = [], [], []
            for one in levels:
                images = {d: one.slide.read(one.slide.bounds, d) for d in (1, model.scale)}
                pyramid = ArraySlide(images, {model.scale: known})
                made = enhance(
                    pyramid, pyramid.bounds, model.scale, model=model, reference="none",
                    device="cpu", dtype="float32",
                )  # fmt: skip
                figures = made.metrics
                gains.append((figures.psnr or 0) - (figures.psnr_bicubic or 0))
                origin = round(one.region.x / model.scale) % _BLOCK
                blocks.append(blockiness(made.image, model.scale, origin))
                plain.append(
                    blockiness(_enlarged(images[model.scale], model.scale), model.scale, origin)
                )
            cells = (f"{np.mean(gains):+.2f}", f"{np.mean(blocks):.3f}", f"{np.mean(plain):.3f}")
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        print(f"\ntrue: {true}\n")


def _enlarged(image: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    size = (image.shape[1] * scale, image.shape[0] * scale)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
