"""An inspection as one page that needs nothing beside it and no manual."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_cwtnet.enhancement import RESEARCH_USE
from napari_cwtnet.geometry import describe_resolution
from napari_cwtnet.inspection import Survey, matches_sentence

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #191919; background: #fff; margin: 2rem auto;
       max-width: 1240px; padding: 0 1rem; }
h1 { margin-bottom: .2rem; }
h2 { border-top: 1px solid #ccc; padding-top: 1.2rem; margin-top: 2rem; }
.badge { background: #7a1f1f; color: #fff; padding: .35rem .7rem; display: inline-block; }
.pictures { display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start; }
.pictures figure { margin: 0; border: 1px solid #ddd; }
.pictures img { display: block; max-width: 100%; height: auto; }
.pictures.four figure { flex: 0 1 285px; }
.pictures.two figure { flex: 0 1 590px; }
table { border-collapse: collapse; margin: .6rem 0; }
td, th { padding: .15rem .9rem .15rem 0; text-align: right; font-variant-numeric: tabular-nums; }
td:first-child, th:first-child { text-align: left; }
.facts td { text-align: left; vertical-align: top; }
figcaption { padding: .2rem .5rem; }
.said { font-size: 17px; }
""".strip()


@dataclass(frozen=True, slots=True)
class Section:
    """Pictures that belong together."""

    title: str
    introduction: str
    pictures: Sequence[tuple[str, bytes]]
    """Words for who cannot see it, and the PNG's bytes."""
    table: str = ""
    """HTML."""
    in_a_row: str = "two"


def report_page(found: Survey, sections: Sequence[Section]) -> str:
    """The page, as HTML."""
    known, plan = found.field.provenance, found.field.plan
    title = f"Inside {plan.model_name}: a field of slide {known['slide_fingerprint'][:12]}"
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{_text(title)}</h1>",
        f"<p class='badge'>{_text(plan.badge)}</p>",
        f"<p><strong>{_text(RESEARCH_USE)}</strong> The pixels of SR and every map below are "
        "computed; nothing here is a finding about the tissue.</p>",
        _table([], _facts(found)),
        f"<p class='said'>{_text(found.statistics['extrapolation'])}</p>",
        "<h2>Figures</h2>",
        _table(["", "PSNR, dB", "SSIM"], _quality(found.statistics)),
        _table([], _figures(found.statistics)),
    ]
    for section in sections:
        parts += [
            f"<h2>{_text(section.title)}</h2>",
            f"<p>{_text(section.introduction)}</p>",
            section.table,
            f"<div class='pictures {section.in_a_row}'>",
            *(
                f"<figure><img alt='{_text(words)}' src='data:image/png;base64,"
                f"{base64.b64encode(png).decode('ascii')}'>"
                f"{_caption(words) if section.in_a_row == 'four' else ''}</figure>"
                for words, png in section.pictures
            ),
            "</div>",
        ]
    return "\n".join([*parts, f"<p>{_text(RESEARCH_USE)}</p>", "</body></html>", ""])


def energy_table(energies: Mapping[str, Mapping[str, float]], names: Mapping[str, str]) -> str:
    """Energy of each sub-band of each image, as an HTML table."""
    columns = list(dict.fromkeys(column for found in energies.values() for column in found))
    rows = [
        [names[name], *(f"{found[c]:,.2f}" if c in found else "" for c in columns)]
        for name, found in energies.items()
    ]
    return _table(["Energy, grey levels²", *columns], rows)


def _facts(found: Survey) -> list[list[str]]:
    known, plan = found.field.provenance, found.field.plan
    height, width = found.field.lr.shape[:2]
    region = plan.region
    return [
        ["Slide fingerprint", known["slide_fingerprint"]],
        [
            "Region",
            f"x {region.x:g}, y {region.y:g}, {region.width:g} × {region.height:g} level-0 pixels",
        ],
        [
            "LR",
            f"{width} × {height} pixels, {describe_resolution(plan.native_mpp, plan.downsample)}",
        ],
        [
            "SR",
            f"{width * plan.scale} × {height * plan.scale} pixels, "
            f"{describe_resolution(plan.native_mpp, plan.output_downsample)}",
        ],
        ["Mode", f"{plan.mode}: {plan.sentence}"],
        ["Model", f"{plan.model_name}, sha256 {known['model_sha256'][:16]}…"],
        ["Search for matches", _search(found)],
        ["Made by", f"{known['software']}, {known['time']}"],
    ]


def _search(found: Survey) -> str:
    field = found.field
    if not field.blocks:
        return matches_sentence(field)
    if field.aligned:
        return f"aligned. {matches_sentence(field)}"
    reach = f" of ±{field.config.window_radius} LR pixels"
    return f"{field.config.search}{reach if field.config.search == 'window' else ''}, in a tile"


def _quality(figures: Mapping[str, Any]) -> list[list[str]]:
    if figures["ssim"] is None:
        return [["The slide holds no truth at this resolution.", "", ""]]
    rows = (
        ("model", ""),
        ("bicubic of LR", "_bicubic"),
        ("bicubic of the reference", "_reference_bicubic"),
    )
    return [
        [name, _decibels(figures[f"psnr{end}"]), f"{figures[f'ssim{end}']:.4f}"]
        for name, end in rows
        if figures[f"ssim{end}"] is not None
    ]


def _decibels(psnr: float | None) -> str:
    """A PSNR; JSON has null for the infinite one of equal images."""
    return "equal to the truth" if psnr is None else f"{psnr:.2f}"


def _figures(figures: Mapping[str, Any]) -> list[list[str]]:
    rows = [
        ["Consistency |D(SR) − LR|, mean", f"{figures['consistency_mean']:.3f} grey levels"],
        ["Spread over flips and turns, mean", f"{figures['tta_std_mean']:.3f} grey levels"],
    ]
    if figures["error_mean"] is not None:
        rows.append(["True error |SR − truth|, mean", f"{figures['error_mean']:.3f} grey levels"])
    for limit, share in figures["matches_within"].items():
        where = "at the same place" if limit == "0" else f"within {limit} LR pixels"
        rows.append([f"Matches {where}", f"{share:.1%}"])
    rows += [
        [f"WT branch, {name} against its target, mean", f"{value:.3f} grey levels"]
        for name, value in figures["wt_error_mean"].items()
    ]
    return rows


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    lines = ["".join(f"<td>{_text(cell)}</td>" for cell in row) for row in rows]
    side = "" if head else " class='facts'"
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table{side}>{f'<tr>{cells}</tr>' if head else ''}{body}</table>"


def _caption(words: str) -> str:
    return f"<figcaption>{_text(words)}</figcaption>"


def _text(words: str) -> str:
    return html.escape(str(words))
