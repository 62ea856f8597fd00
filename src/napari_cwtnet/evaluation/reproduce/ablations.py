"""Tables II to V: parts, inputs, losses and depth of CWT-Net at ×2."""

from __future__ import annotations

from typing import Any

from napari_cwtnet.evaluation.reproduce import paper
from napari_cwtnet.evaluation.reproduce.experiment import Degradation, Row, Table
from napari_cwtnet.evaluation.reproduce.methods import BASE

_SIZE: dict[str, Any] = {
    "blocks": 4,
    "channels": 32,
    "skip": "lr",
    "search": "window",
    "window_radius": 4,
}
_SMALL = (
    "The paper preset (HH alone, WR in training as in testing, the paper's loss), cut down for all "
    "rows alike: 4 blocks of 32 channels in place of 12 of 64, a search within 4 pixels in place "
    "of the full one, and the bicubic enlargement of LR as global skip, which the paper does not "
    "have. "
)
_LAST = (
    "Tested are the averaged weights of the last step, so that no held-out image chooses anything."
)


def _row(
    name: str, figures: dict[str, paper.PaperFigures], network: dict[str, Any], **more: Any
) -> Row:
    changes = {"preset": "paper", "network": _SIZE | network} | more.pop("changes", {})
    return Row(name, more.pop("test", "single-image"), changes, figures[name], **more)


def _components(_scale: int, _degradation: Degradation) -> tuple[Row, ...]:
    figures = paper.TABLE_2
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
    figures = paper.TABLE_3
    given = {"reference_share": 1.0}

    def note(name: str, words: str = "") -> str:
        alex, vgg = paper.TABLE_3_LPIPS[name]
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
                "the truth without its finest octave, which is what LR has, feeds the WT branch; ",
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
    notes = {"WT loss alone": "the image is not trained: the global skip, bicubic, comes out"}
    return tuple(
        _row(name, paper.TABLE_4, {}, changes={"loss": loss}, note=notes.get(name, ""))
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
        for blocks, (figures, seconds) in paper.TABLE_5.items()
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
        setting="What is added makes the network larger and slower, as in the paper: the rows are "
        "not of one size. ",
    ),
    _table(
        "table3",
        "Table III: what feeds the WT branch",
        _inputs,
        "WR (CWT-Net)",
        perceptual=True,
        setting="A row marked ORACLE is given the truth, in training and in testing: it says what "
        "the answer is worth, and is no result. LPIPS is left out, for its weights are at hand for "
        "nobody offline; ST-LPIPS, another measure, stands here where its package can be loaded. ",
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
