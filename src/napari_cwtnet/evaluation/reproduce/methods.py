"""Table I: CWT-Net beside the networks that the paper compares it with."""

from __future__ import annotations

from typing import Any

from napari_cwtnet.evaluation.reproduce import experiment
from napari_cwtnet.evaluation.reproduce.experiment import (
    TABLE_1,
    Degradation,
    PaperFigures,
    Row,
    Table,
)

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
    "always trained in float32, since torch's bfloat16 gradients of its dilated convolutions are "
    "wrong on a CPU"
)
_ADVERSARIAL = {"weight": 1e-3, "channels": 16}
CWTNET_CHANGES: dict[str, Any] = {
    "preset": "lite",
    "loss": {"sr": 1.0, "wt": 0.1, "sr_ssim": 0.0, "wt_ssim": 0.0},
}
_KNOWING = f"{CWTNET} that knows the degradation"
_KNOWS: dict[str, Any] = {"network": {"conditioning": 64}}
_KNOWING_NOTE = (
    "the only row that gets the kernel and the compression of LR, as a slide's file and levels "
    "reveal them (decision 0016)"
)


def _rows(scale: int, degradation: Degradation) -> tuple[Row, ...]:
    of_paper = TABLE_1["levels" if degradation == "levels" else "bicubic"]
    paper = {name: figures[scale] for name, figures in of_paper.items()}
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
        note = "without the next-higher level, for which the paper has no figures"
        rows.append(Row(CWTNET, "single-image", CWTNET_CHANGES, note=note))
    if degradation == "scanner":
        rows.append(Row(_KNOWING, "single-image", CWTNET_CHANGES | _KNOWS, note=_KNOWING_NOTE))
    if scale > 2:
        rows += _given_the_reference(scale, paper[CWTNET], degradation)
    return tuple(rows)


def _given_the_reference(scale: int, paper: PaperFigures, degradation: Degradation) -> list[Row]:
    half = scale // 2
    rows = [
        Row(
            f"bicubic ×{half} of the reference",
            "bicubic of the reference",
            note="available to anyone with the reference",
        ),
        Row(
            f"{CWTNET} ×{half} on the reference",
            "half the scale, on the reference",
            CWTNET_CHANGES,
            note="the single-image network of half the scale, from this table",
        ),
        Row(
            f"{CWTNET}, cross-scale",
            "cross-scale",
            CWTNET_CHANGES | {"reference_share": 1.0},
            paper,
            note="LR and the next-higher level, as for the paper's CWT-Net, but not for the "
            "methods that the paper compares it with",
        ),
    ]
    if degradation == "scanner":
        changes = CWTNET_CHANGES | _KNOWS | {"reference_share": 1.0}
        rows.append(Row(f"{_KNOWING}, cross-scale", "cross-scale", changes, note=_KNOWING_NOTE))
    return rows


def peer(architecture: str) -> dict[str, Any]:
    """Fields of the recipe of a network that CWT-Net is compared with."""
    size: dict[str, Any] = {"preset": "matched"}
    if architecture == "srcnn":  # works on the enlarged grid; matched, a step is ten times slower
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
"""Fields of every recipe of every table."""

TABLE = Table(
    key="table1",
    title="Table I: methods",
    setting="Every network has about as many parameters as cwtnet-lite at its scale (except SRCNN, "
    "which has its published size), a bicubic enlargement as global skip, and the same patches, "
    "budget, batch, Adam, schedule and seeds. The skip of CWT-Net enlarges the reference or, "
    "without one, the output of its WR module, which starts as the bicubic enlargement. The image "
    "loss is L1 for all; CWT-Net adds its WT loss. Decision 0015 explains the choice of rate, "
    "clipping and lite preset. Tests use the averaged weights of the last step, so no held-out "
    "image chooses anything.",
    rows=_rows,
    base=BASE | {"learning_rate": 1e-3, "gradient_clip": 0.1},
    compared=CWTNET,
    compared_paired=f"{CWTNET}, cross-scale",
)


_SIZE: dict[str, Any] = {
    "blocks": 4,
    "channels": 32,
    "skip": "lr",
    "search": "window",
    "window_radius": 4,
}
_SMALL = (
    "The paper preset (HH alone, WR in training as in testing, the paper's loss), reduced for all "
    "rows alike: 4 blocks of 32 channels instead of 12 of 64, a search within 4 pixels instead of "
    "the full one, and the bicubic enlargement of LR as global skip, which the paper does not "
    "have. "
)
_LAST = "Tests use the averaged weights of the last step, so no held-out image chooses anything."


def _row(
    name: str, figures: dict[str, experiment.PaperFigures], network: dict[str, Any], **more: Any
) -> Row:
    changes = {"preset": "paper", "network": _SIZE | network} | more.pop("changes", {})
    return Row(name, more.pop("test", "single-image"), changes, figures[name], **more)


def _components(_scale: int, _degradation: Degradation) -> tuple[Row, ...]:
    figures = experiment.TABLE_2
    return (
        _row("SR branch alone", figures, {"wt_branch": False}),
        _row(
            "+ WT branch and transformer",
            figures,
            {"wt_front": "average", "wt_source": "lr_up"},
            note="the WT branch sees 2×2 means of enlarged LR",
        ),
        _row("+ DWT", figures, {"wt_source": "lr_up"}, note="HH of enlarged LR"),
        _row("+ WR: CWT-Net", figures, {}),
    )


def _inputs(_scale: int, _degradation: Degradation) -> tuple[Row, ...]:
    figures = experiment.TABLE_3
    given = {"reference_share": 1.0}

    def note(name: str, words: str = "") -> str:
        alex, vgg = experiment.TABLE_3_LPIPS[name]
        return f"{words}the paper's LPIPS (AlexNet, VGG) is {alex:.5f}, {vgg:.5f}"

    return (
        _row(
            "I_GT",
            figures,
            {},
            test="oracle",
            changes=given,
            note=note("I_GT", "the truth itself feeds the WT branch; "),
        ),
        _row("WR (CWT-Net)", figures, {}, note=note("WR (CWT-Net)")),
        _row(
            "I_GT down and up",
            figures,
            {"reference_filter": "down_up"},
            test="oracle",
            changes=given,
            note=note(
                "I_GT down and up",
                "the truth without its finest octave, like LR, feeds the WT branch; ",
            ),
        ),
        _row("I_LR", figures, {"wt_source": "lr_up"}, note=note("I_LR")),
    )


def _losses(_scale: int, _degradation: Degradation) -> tuple[Row, ...]:
    no_ssim = {"sr_ssim": 0.0, "wt_ssim": 0.0}
    losses: dict[str, dict[str, Any]] = {
        "L1 + SSIM, λ = 0.3, 0.7": {},
        "L1 alone": no_ssim,
        "MSE alone": no_ssim | {"pixel": "mse"},
        "image loss alone": {"sr": 1.0, "wt": 0.0},
        "WT loss alone": {"sr": 0.0, "wt": 1.0},
        "λ = 0.7, 0.3": {"sr": 0.7, "wt": 0.3},
    }
    notes = {"WT loss alone": "the image is not trained: the result is the bicubic global skip"}
    return tuple(
        _row(name, experiment.TABLE_4, {}, changes={"loss": loss}, note=notes.get(name, ""))
        for name, loss in losses.items()
    )


def _depths(_scale: int, _degradation: Degradation) -> tuple[Row, ...]:
    return tuple(
        Row(
            f"{blocks} CWTBs",
            "single-image",
            {"preset": "paper", "network": _SIZE | {"blocks": blocks}},
            figures,
            f"the paper's time: {seconds:g}",
        )
        for blocks, (figures, seconds) in experiment.TABLE_5.items()
    )


def _table(key: str, title: str, rows: Any, compared: str, **more: Any) -> Table:
    setting = _SMALL + more.pop("setting", "") + _LAST
    return Table(key, title, setting, rows, BASE, compared, side=128, per_image=4, **more)


TABLES = (
    _table(
        "table2",
        "Table II: components",
        _components,
        "+ WR: CWT-Net",
        setting="Each component makes the network larger and slower, as in the paper: the rows "
        "differ in size. ",
    ),
    _table(
        "table3",
        "Table III: what feeds the WT branch",
        _inputs,
        "WR (CWT-Net)",
        perceptual=True,
        setting="A row marked ORACLE has the truth, in training and in testing: it shows what the "
        "answer is worth and is no result. LPIPS is left out, since its weights need a download; "
        "ST-LPIPS, another measure, is given where its package can be loaded. ",
    ),
    _table("table4", "Table IV: loss", _losses, "L1 + SSIM, λ = 0.3, 0.7"),
    _table(
        "table5",
        "Table V: number of CWTBs",
        _depths,
        "12 CWTBs",
        setting="All have the same budget. ",
    ),
)
