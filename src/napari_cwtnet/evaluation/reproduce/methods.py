"""Table I: CWT-Net beside the networks that the paper compares it with."""

from __future__ import annotations

from typing import Any

from napari_cwtnet.evaluation.reproduce.experiment import Degradation, Row, Table
from napari_cwtnet.evaluation.reproduce.paper import TABLE_1, PaperFigures

CWTNET = "CWT-Net"
_PEERS = {
    "SRCNN": "srcnn",
    "SRResNet": "srresnet",
    "EDSR": "edsr",
    "RCAN": "rcan",
    "MWCNN": "mwcnn",
    "SWD-Net": "swdnet",
}
_IN_FLOAT32 = ("mwcnn", "swdnet")
_IN_FLOAT32_NOTE = (
    "trained in float32, for torch's bfloat16 gradients of its dilated convolutions are wrong on a "
    "CPU; the others are trained in bfloat16"
)
_ADVERSARIAL = {"weight": 1e-3, "channels": 16}
CWTNET_CHANGES: dict[str, Any] = {
    "preset": "lite",
    "loss": {"sr": 1.0, "wt": 0.1, "sr_ssim": 0.0, "wt_ssim": 0.0},
}


def _rows(scale: int, degradation: Degradation) -> tuple[Row, ...]:
    paper = {name: figures[scale] for name, figures in TABLE_1[degradation].items()}
    rows = [Row("bicubic", "bicubic", None, paper["bicubic"])]
    for name, architecture in _PEERS.items():
        changes = peer(architecture)
        note = _IN_FLOAT32_NOTE if architecture in _IN_FLOAT32 else ""
        rows.append(Row(name, "single-image", changes, paper.get(name), note))
        if name == "SRResNet":
            note = "trained against a discriminator, which costs PSNR by intent"
            against = changes | {"adversarial": _ADVERSARIAL}
            rows.append(Row("SRGAN", "single-image", against, paper["SRGAN"], note))
    if scale == 2:
        rows.append(Row(CWTNET, "single-image", CWTNET_CHANGES, paper[CWTNET]))
    else:
        note = "without the next-higher level, of which the paper has no figures"
        rows.append(Row(CWTNET, "single-image", CWTNET_CHANGES, note=note))
        rows += _given_the_reference(scale, paper[CWTNET])
    return tuple(rows)


def _given_the_reference(scale: int, paper: PaperFigures) -> list[Row]:
    half = scale // 2
    return [
        Row(
            f"bicubic ×{half} of the reference",
            "bicubic of the reference",
            note="what anybody has who has the reference",
        ),
        Row(
            f"{CWTNET} ×{half} on the reference",
            "half the scale, on the reference",
            CWTNET_CHANGES,
            note="the single-image network of half the scale, of this very table",
        ),
        Row(
            f"{CWTNET}, cross-scale",
            "cross-scale",
            CWTNET_CHANGES | {"reference_share": 1.0},
            paper,
            note="LR and the next-higher level, which the paper's CWT-Net is given, too, while the "
            "methods that it is compared with there are not",
        ),
    ]


def peer(architecture: str) -> dict[str, Any]:
    """Fields of the recipe of a network that CWT-Net is compared with."""
    size: dict[str, Any] = {"preset": "matched"}
    if architecture == "srcnn":  # it works on the enlarged grid: matched, a step takes ten times
        size = {"preset": "published", "network": {"skip": "bicubic"}}
    if architecture in _IN_FLOAT32:
        size |= {"dtype": "float32"}
    return {
        "architecture": architecture,
        **size,
        "loss": {"sr": 1.0, "wt": 0.0, "sr_ssim": 0.0, "wt_ssim": 0.0},
    }


BASE: dict[str, Any] = {
    "batch": 4,
    "learning_rate": 5e-4,
    "ema": 0.99,
    "dtype": "bfloat16",
}
"""What every recipe of every table has."""

TABLE = Table(
    key="table1",
    title="Table I: methods",
    setting="Every network has about as many parameters as cwtnet-lite at its scale (but SRCNN, "
    "which has the size that it was published in), a bicubic enlargement as global skip, and the "
    "same patches, budget, batch, Adam, schedule and seeds. CWT-Net enlarges the reference there "
    "or, without one, what its WR module makes of LR, which begins as the bicubic enlargement. "
    "The loss of the image is L1 for all; CWT-Net has its WT loss beside it. How rate, "
    "clipping and the lite preset were chosen is told in decision 0015. Tested are the averaged "
    "weights of the last step, so that no held-out image chooses anything.",
    rows=_rows,
    base=BASE | {"learning_rate": 1e-3, "gradient_clip": 0.1},
    compared=CWTNET,
    compared_paired=f"{CWTNET}, cross-scale",
)
