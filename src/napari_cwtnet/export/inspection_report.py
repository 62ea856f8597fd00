"""An inspection as one page that needs nothing beside it and no manual."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from napari_cwtnet.enhancement import RESEARCH_USE
from napari_cwtnet.export.lettering import font_of, plain, wrapped
from napari_cwtnet.geometry import Region, describe_resolution
from napari_cwtnet.inspection import Map, Survey, matches_sentence
from napari_cwtnet.inspection.maps import coloured, rounded_up
from napari_cwtnet.model.wavelet import BANDS

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #191919; background: #fff; margin: 2rem auto;
       max-width: 1240px; padding: 0 1rem; }
h1 { margin-bottom: .2rem; }
h2 { border-top: 1px solid #ccc; padding-top: 1.2rem; margin-top: 2rem; }
.badge { background: #7a1f1f; color: #fff; padding: .35rem .7rem; display: inline-block; }
.pictures { display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start; }
.pictures figure { margin: 0; border: 1px solid #ddd; }
.pictures img { display: block; max-width: 100%; height: auto; }
.pictures.four { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr));
                 margin-bottom: 14px; }
.pictures.two figure { flex: 0 1 590px; }
.pictures figure:target { flex: 0 0 auto; grid-column: 1 / -1; overflow-x: auto; }
.pictures figure:target img { max-width: none; }
table { border-collapse: collapse; margin: .6rem 0; }
td, th { padding: .15rem .9rem .15rem 0; text-align: right; font-variant-numeric: tabular-nums; }
td:first-child, th:first-child { text-align: left; }
.facts td { text-align: left; vertical-align: top; }
figcaption { padding: .2rem .5rem; }
.said { font-size: 17px; }
""".strip()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on the page, in full size where it is asked for."""

    name: str
    """Base name of its file."""
    title: str
    note: str
    """One line on how to read it."""
    png: bytes


@dataclass(frozen=True, slots=True)
class Section:
    """Pictures that belong together."""

    title: str
    introduction: str
    rows: Sequence[Sequence[Picture]]
    """Each starts on a line of its own."""
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
        *(f"<p class='said'>This model is {_text(words)}.</p>" for words in _purpose(found)),
        f"<p><strong>{_text(RESEARCH_USE)}</strong> The pixels of SR and every map below are "
        "computed; nothing here is a finding about the tissue.</p>",
        _table([], _facts(found)),
        *(f"<p class='said'>{_text(words)}</p>" for words in _trust_words(found)),
        "<h2>Figures</h2>",
        _quality(found.statistics),
        _table([], _figures(found)),
        *(f"<p>{_text(words)}</p>" for words in _easier_than_a_slide(found)),
    ]
    for section in sections:
        parts += [
            f"<h2>{_text(section.title)}</h2>",
            f"<p>{_text(section.introduction)}</p>",
            section.table,
            *(
                f"<div class='pictures {section.in_a_row}'>{''.join(map(_figure, row))}</div>"
                for row in section.rows
            ),
        ]
    return "\n".join([*parts, f"<p>{_text(RESEARCH_USE)}</p>", "</body></html>", ""])


def energy_table(energies: Mapping[str, Mapping[str, float]], names: Mapping[str, str]) -> str:
    """Energy of each sub-band of each image, as an HTML table."""
    columns = sorted(
        {column for found in energies.values() for column in found},
        key=lambda column: (-int(column[2:]), BANDS.index(column[:2])),
    )
    rows = [
        [names[name], *(f"{found[c]:,.2f}" if c in found else "" for c in columns)]
        for name, found in energies.items()
    ]
    return _table(["Energy, grey levels²", *columns], rows)


def _facts(found: Survey) -> list[list[str]]:
    known, plan = found.field.provenance, found.field.plan
    height, width = found.field.lr.shape[:2]
    region, sha256 = plan.region, f"sha256 {known['model_sha256'][:16]}…"
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
        ["Model", ", ".join([plan.model_name, *_purpose(found), sha256])],
        ["Search for matches", _search(found)],
        ["Made by", f"{known['software']}, {known['time']}"],
    ]


def _purpose(found: Survey) -> list[str]:
    """What the model is for, where that is not to enhance slides."""
    words = found.field.provenance.get("model_purpose")
    return [] if words is None else [words]


def _search(found: Survey) -> str:
    field = found.field
    if not field.blocks:
        return matches_sentence(field)
    if field.aligned:
        return f"aligned. {matches_sentence(field)}"
    if field.config.search != "window":
        return f"{field.config.search}, in a tile"
    bias = field.config.position_bias
    price = f", {bias:g} off the relevance per pixel" if bias else ""
    return f"window of ±{field.config.window_radius} LR pixels{price}, in a tile"


def _quality(figures: Mapping[str, Any]) -> str:
    """A table, as HTML; empty without a truth."""
    if figures["ssim"] is None:
        return ""
    rows = (
        ("model", ""),
        ("bicubic of LR", "_bicubic"),
        ("bicubic of the reference", "_reference_bicubic"),
    )
    lines = [
        [name, _decibels(figures[f"psnr{end}"]), f"{figures[f'ssim{end}']:.4f}"]
        for name, end in rows
        if figures[f"ssim{end}"] is not None
    ]
    return _table(["", "PSNR, dB", "SSIM"], lines)


def _decibels(psnr: float | None) -> str:
    """A PSNR; JSON has null for the infinite one of equal images."""
    return "equal to the truth" if psnr is None else f"{psnr:.2f}"


def _figures(found: Survey) -> list[list[str]]:
    figures = found.statistics
    means = (
        ("Consistency |D(SR) − LR|", "consistency_mean"),
        ("Spread over flips and turns", "tta_std_mean"),
        ("Expected error", "expected_error_mean"),
        ("True error |SR − truth|", "error_mean"),
    )
    rows = [[name, str(origin)] for name, origin in found.origins.items()]
    rows += [
        [f"{name}, mean", f"{figures[key]:.3f} grey levels"]
        for name, key in means
        if figures[key] is not None
    ]
    for limit, share in figures["matches_within"].items() if not found.field.aligned else ():
        plural = "" if limit == "1" else "s"
        where = "at the same place" if limit == "0" else f"within {limit} LR pixel{plural}"
        rows.append([f"Matches {where}", f"{share:.1%}"])
    rows += [
        [f"WT branch, {name} against its target, mean", f"{value:.3f} grey levels"]
        for name, value in figures["wt_error_mean"].items()
    ]
    return rows


def _easier_than_a_slide(found: Survey) -> list[str]:
    """A caution, where the figures are those of pixels that no scanner stores."""
    if found.origins["LR"].stored or found.statistics["error_mean"] is None:
        return []
    return [
        "LR was made here, and no scanner stores such pixels: `napari-cwtnet check` says better "
        "what to expect of this slide."
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    lines = ["".join(f"<td>{_text(cell)}</td>" for cell in row) for row in rows]
    side = "" if head else " class='facts'"
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table{side}>{f'<tr>{cells}</tr>' if head else ''}{body}</table>"


def _figure(shown: Picture) -> str:
    """HTML; a click shows the picture in full size, in its place."""
    name, title = _text(shown.name), _text(shown.title)
    source = f"data:image/png;base64,{base64.b64encode(shown.png).decode('ascii')}"
    return (
        f"<figure id='{name}'><a href='#{name}'><img alt='{title}' src='{source}'></a>"
        f"<figcaption><strong>{title}</strong> {_text(shown.note)} "
        f"<a href='#{name}'>Full size</a></figcaption></figure>"
    )


def _text(words: str) -> str:
    return html.escape(str(words))


Pixels = NDArray[np.uint8]

_SIDE = 560
"""Screen pixels of the longer side, at least; less than twice as many."""
_MARGIN, _LINE = 12, 19
_BAR = (18, 110)
"""Width of the colour bar, and of the room for its numbers."""
_WHEEL = 96
_INK, _RED, _PAPER, _EDGE = (25, 25, 25), (170, 30, 30), (255, 255, 255), (170, 170, 170)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle to be drawn on a picture."""

    region: Region
    """Level-0 pixels."""
    colour: tuple[int, int, int]
    label: str = ""


def map_picture(
    found: Map, badge: str, native_mpp: float | None, boxes: Sequence[Box] = ()
) -> Pixels:
    """A map in its colours with its scale beside it.

    Parameters
    ----------
    found : Map
        What to show.
    badge : str
        The mark of what is computed.
    native_mpp : float or None
        µm per level-0 pixel.
    boxes : sequence of Box
        Drawn on top.

    Returns
    -------
    ndarray
        ``(height, width, 3)`` uint8.
    """
    colours = coloured(found.shown, found.low, found.high, found.palette)
    scale = _bar if found.palette != "direction" else _wheel
    words = (found.title, badge, found.legend)
    return _framed(colours, words, (found.region, native_mpp), boxes, scale(found))


def image_picture(
    image: Pixels,
    title: str,
    badge: str,
    place: tuple[Region, float | None],
    boxes: Sequence[Box] = (),
) -> Pixels:
    """An RGB image of a region in the same frame; without a badge it is not marked as computed."""
    return _framed(image, (title, badge, ""), place, boxes, None)


def _framed(
    colours: Pixels,
    words: tuple[str, str, str],
    place: tuple[Region, float | None],
    boxes: Sequence[Box],
    scale: Image.Image | None,
) -> Pixels:
    title, badge, meaning = words
    inner = _enlarged(colours)
    region, native_mpp = place
    _draw_boxes(inner, region, boxes)
    width = inner.width + 2 * _MARGIN + (0 if scale is None else scale.width)
    room = width - 2 * _MARGIN
    title_lines = wrapped(title, font_of(16), room)
    badge_lines = wrapped(badge, font_of(13), room) if badge else []
    notes = wrapped(meaning, font_of(13), room) if meaning else []
    top = _MARGIN + _LINE * (len(title_lines) + len(badge_lines)) + 6
    bottom = 26 + _LINE * len(notes) + _MARGIN
    height = top + max(inner.height, 0 if scale is None else scale.height) + bottom
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    y = _MARGIN
    for lines, size, ink in ((title_lines, 16, _INK), (badge_lines, 13, _RED)):
        for line in lines:
            draw.text((_MARGIN, y), line, fill=ink, font=font_of(size))
            y += _LINE
    sheet.paste(inner, (_MARGIN, top))
    frame = (_MARGIN - 1, top - 1, _MARGIN + inner.width, top + inner.height)
    draw.rectangle(frame, outline=_EDGE)
    if scale is not None:
        sheet.paste(scale, (_MARGIN + inner.width, top))
    y = top + max(inner.height, 0 if scale is None else scale.height) + 4
    _draw_length(draw, (_MARGIN, y), inner.width / region.width, native_mpp)
    y += 26
    for line in notes:
        draw.text((_MARGIN, y), line, fill=_INK, font=font_of(13))
        y += _LINE
    return np.asarray(sheet)


def _enlarged(colours: Pixels) -> Image.Image:
    """Whole screen pixels per value, a power of two: no value is made up, sizes go together."""
    longer = max(colours.shape[:2])
    octaves = math.ceil(math.log2(_SIDE / longer))
    if octaves < 0:
        return Image.fromarray(colours).reduce(2**-octaves)
    times = 2**octaves
    return Image.fromarray(np.ascontiguousarray(colours.repeat(times, 0).repeat(times, 1)))


def _draw_boxes(picture: Image.Image, region: Region, boxes: Sequence[Box]) -> None:
    draw, per_pixel = ImageDraw.Draw(picture), picture.width / region.width
    for box in boxes:
        left, top = (box.region.x - region.x) * per_pixel, (box.region.y - region.y) * per_pixel
        side = box.region.width * per_pixel
        edges = (left, top, left + side, top + side)
        draw.rectangle(edges, outline=(0, 0, 0), width=4)
        draw.rectangle(edges, outline=box.colour, width=2)
        if box.label:
            at = (left + side + 3, top - 3)
            draw.text(
                at,
                box.label,
                fill=box.colour,
                font=font_of(15),
                stroke_width=2,
                stroke_fill=(0, 0, 0),
            )


def _bar(found: Map) -> Image.Image:
    """The ramp of colours from high to low, with five numbers and the unit."""
    width, room = _BAR
    height = 220
    bar = Image.new("RGB", (width + room + 14, height + 34), _PAPER)
    values = np.repeat(np.linspace(found.high, found.low, height)[:, None], width, axis=1)
    colours = coloured(values, found.low, found.high, found.palette)
    bar.paste(Image.fromarray(colours), (14, 8))
    draw, font = ImageDraw.Draw(bar), font_of(13)
    draw.rectangle((14, 8, 14 + width, 8 + height), outline=_INK)
    for part in range(5):
        y = 8 + height * part / 4
        value = found.high + (found.low - found.high) * part / 4
        draw.line((14 + width, y, 18 + width, y), fill=_INK)
        draw.text((22 + width, y - 8), f"{value:.3g}", fill=_INK, font=font)
    draw.text((14, height + 16), plain(found.unit, font), fill=_INK, font=font)
    return bar


def _wheel(found: Map) -> Image.Image:
    """Which hue is which direction, and how far full saturation is."""
    half = _WHEEL // 2
    steps = np.mgrid[-half : half + 1, -half : half + 1].transpose(1, 2, 0) / half
    colours = coloured(steps * found.high, 0, found.high, "direction")
    colours[np.hypot(steps[..., 0], steps[..., 1]) > 1] = _PAPER
    legend = Image.new("RGB", (_WHEEL + 52, _WHEEL + 96), _PAPER)
    legend.paste(Image.fromarray(colours), (24, 24))
    draw, font = ImageDraw.Draw(legend), font_of(13)
    draw.text((24 + half - 8, 4), "up", fill=_INK, font=font)
    draw.text((24 + half - 16, _WHEEL + 28), "down", fill=_INK, font=font)
    draw.text((4, _WHEEL + 50), f"rim: {found.high:g} {found.unit}", fill=_INK, font=font)
    draw.text((4, _WHEEL + 68), "white: 0", fill=_INK, font=font)
    return legend


def _draw_length(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    per_level_0: float,
    native_mpp: float | None,
) -> None:
    """A bar of a round length, about 100 screen pixels long."""
    unit, each = ("px of level 0", 1.0) if native_mpp is None else ("µm", native_mpp)
    length = rounded_up(50 / per_level_0 * each)
    end = at[0] + length / each * per_level_0
    draw.line((at[0], at[1] + 10, end, at[1] + 10), fill=_INK, width=3)
    words = plain(f"{length:g} {unit}", font_of(13))
    draw.text((end + 6, at[1] + 2), words, fill=_INK, font=font_of(13))


def _trust_words(found: Survey) -> list[str]:
    calibration = found.statistics["calibration"]
    words = [found.statistics["extrapolation"]]
    return words if calibration is None else [*words, calibration["sentence"]]
