"""Compare scores of trust by how well each ranks the places of a field.

Usage: ``python tools/trust_scores.py MODEL --image FILE... [--degradation SPEC...]``

Give images that took no part in training. Each is cut to its middle 512² pixels, shrunk and
compressed as SPEC says, and enhanced. A score is one of Inspect's trust maps, or local contrast,
which anybody has without a network. Places are squares of 8 × 8 SR pixels. Printed are Spearman's
rank correlation with the true error, and the true error (grey levels) of the most trusted half of
the places, whose ideal is that of the half with least error.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from napari_cwtnet import load_model, open_slide
from napari_cwtnet.enhancement import Engine, EnhanceRequest
from napari_cwtnet.enhancement.plan import ReferenceChoice
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import capture
from napari_cwtnet.inspection.field import Field
from napari_cwtnet.inspection.trust import (
    BICUBIC,
    consistency,
    error,
    expected_error,
    self_ensemble_spread,
)
from napari_cwtnet.slides.array_slide import ArraySlide
from napari_cwtnet.slides.degradation import Degradation, Kernel
from napari_cwtnet.slides.degrade import degrade, shrink

Floats = NDArray[np.float32]
_SIDE, _PLACE, _CONTRAST = 512, 8, 2


def main() -> None:
    """Print a line for each image and degradation, then the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--image", type=Path, nargs="+", required=True)
    parser.add_argument("--degradation", nargs="+", default=["bicubic", "box+jpeg75-420"])
    parser.add_argument("--halve", action="store_true", help="2×2 means of the images")
    parser.add_argument("--reference", choices=("none", "next"), default="none")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    engine = Engine(load_model(arguments.model), "cpu", 0)
    for spec in arguments.degradation:
        rows = []
        for path in arguments.image:
            field = captured(
                engine,
                path,
                Degradation.parse(spec),
                arguments.reference,
                shrunk=2 if arguments.halve else 1,
            )
            true = error(field)
            if true is None:
                raise AssertionError("the truth is there")
            rows.append(ranks(scores(field, engine), true))
            print(f"{spec} {path.stem}: {words(rows[-1])}", flush=True)
        print(f"{spec}, mean of {len(rows)}: {words(mean_of(rows))}", flush=True)


def captured(
    engine: Engine,
    path: Path,
    made: Degradation,
    reference: ReferenceChoice,
    *,
    shrunk: int = 1,
) -> Field:
    """The field in the middle of an image, enhanced from LR that is made as ``made`` says."""
    scale = engine.model.scale
    with open_slide(path) as slide:
        side = min(_SIDE, *(length // (16 * shrunk) * 16 for length in slide.size)) * shrunk
        left, top = ((length - side) // 2 for length in slide.size)
        truth = shrink(slide.read(Region(left, top, side, side), 1), Kernel("box"), shrunk)
    with pyramid_of(truth, made, scale) as pyramid:
        return capture(pyramid, engine, EnhanceRequest(pyramid.bounds, scale, reference))


def pyramid_of(truth: NDArray[np.uint8], made: Degradation, scale: int) -> ArraySlide:
    """A slide of an image, and of its coarser levels made as ``made`` says and known to be so."""
    coarser = sorted({scale // 2, scale} - {1})
    images = {1: truth} | {d: degrade(truth, made, d) for d in coarser}
    return ArraySlide(images, dict.fromkeys(coarser, made))


def scores(field: Field, engine: Engine) -> dict[str, Floats]:
    """Every score of a field, by its name."""
    lr = torch.from_numpy(field.lr.copy()).permute(2, 0, 1)[None].float().mean(1, keepdim=True)
    side = 2 * _CONTRAST + 1
    padded = torch.nn.functional.pad(lr, (_CONTRAST,) * 4, mode="reflect")
    mean, squares = (torch.nn.functional.avg_pool2d(v, side, 1) for v in (padded, padded**2))
    contrast = (squares - mean**2).clamp_min(0).sqrt()[0, 0].numpy()
    found = {
        "contrast": contrast,
        "consistency": consistency(field.sr, field.lr, field.kernel or BICUBIC),
        "spread": self_ensemble_spread(field, engine),
    }
    if field.error is not None:
        found["predicted"] = field.error
        found["expected"] = expected_error(field.sr, field.lr, field.error, field.kernel)
    return found


def ranks(found: Mapping[str, Floats], true: Floats) -> dict[str, tuple[float, float]]:
    """Rank correlation and error of the trusted half, by score; ``ideal`` ranks by the error."""
    places = in_places(true)
    kept: dict[str, tuple[float, float]] = {}
    for name, score in {**found, "ideal": true}.items():
        values = in_places(np.nan_to_num(score, nan=0.0), true.shape)
        trusted = values <= np.median(values)
        kept[name] = float(spearmanr(values, places).statistic), float(places[trusted].mean())
    return kept


def in_places(values: Floats, shape: tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """Means over squares of 8 × 8 SR pixels, of a map on the SR grid or a coarser one."""
    factor = 1 if shape is None else shape[0] // values.shape[0]
    large = np.kron(values, np.ones((factor, factor)))
    rows, columns = (length // _PLACE for length in large.shape)
    squares = large[: rows * _PLACE, : columns * _PLACE].reshape(rows, _PLACE, columns, _PLACE)
    return np.asarray(squares.mean((1, 3))).ravel()


def mean_of(
    rows: list[dict[str, tuple[float, float]]],
) -> dict[str, tuple[float, float]]:
    """Mean over fields."""
    return {
        name: (
            float(np.mean([row[name][0] for row in rows])),
            float(np.mean([row[name][1] for row in rows])),
        )
        for name in rows[0]
    }


def words(row: Mapping[str, tuple[float, float]]) -> str:
    """Each score's figures."""
    return " · ".join(f"{name} {rank:+.2f} ({level:.1f})" for name, (rank, level) in row.items())


if __name__ == "__main__":
    main()
