"""An inspection as a folder: values for programs, pictures for people, one page for strangers."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from PIL import Image, PngImagePlugin
from pydantic import BaseModel, ValidationError

from napari_cwtnet import __version__
from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.inspection_report import (
    Box,
    Picture,
    Pixels,
    Section,
    energy_table,
    image_picture,
    map_picture,
    report_page,
)
from napari_cwtnet.export.ome_tiff import annotation
from napari_cwtnet.export.pyramid import image_place
from napari_cwtnet.files import check_writable, folder_written_whole, read_file, written_whole
from napari_cwtnet.inspection import Map, Probe, Survey, matches_sentence
from napari_cwtnet.inspection.bands import IMAGES
from napari_cwtnet.inspection.calibration import MARKED
from napari_cwtnet.inspection.maps import probe_map
from napari_cwtnet.inspection.trust import TRUST
from napari_cwtnet.slides.resolution import pixel_sides

_PLANES = {"direction": ("down", "right")}
_RGB = ("red", "green", "blue")


def map_provenance(found: Map, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a map's file says of itself: the field's provenance, at the map's own place."""
    native = provenance["native_mpp"]
    place = found.region
    return {
        **provenance,
        "badge": f"{provenance['badge']} · {found.title}",
        "title": found.title,
        "meaning": found.meaning,
        "unit": found.unit,
        "shown_from": found.low,
        "shown_to": found.high,
        "region": [place.x, place.y, place.width, place.height],
        "output_downsample": found.downsample,
        "output_mpp": None if native is None else native * found.downsample,
        "dtype": "float32",
    }


def save_map(path: Path, found: Map, provenance: Mapping[str, Any]) -> None:
    """Write a map's values as float32, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.ome.tif``.
    found : Map
        ``(h, w)`` becomes one plane; directions become two, down and right, in LR pixels; RGB
        becomes three.
    provenance : mapping
        Of the field it was made from.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    known = map_provenance(found, provenance)
    place = image_place(known, known["output_mpp"])
    values = np.asarray(found.values, np.float32)
    names = _PLANES.get(found.palette, _RGB) if values.ndim == 3 else (found.unit,)
    metadata: dict[str, Any] = {
        "axes": "CYX" if values.ndim == 3 else "YX",
        "Name": known["badge"],
        "Creator": f"napari-cwtnet {__version__}",
        "UUID": str(uuid.uuid4()),  # tifffile's own would hold the network address of the machine
        "MapAnnotation": annotation(known),
        "Channel": {"Name": list(names)},
        "Plane": {
            "PositionX": [place.x] * len(names),
            "PositionY": [place.y] * len(names),
            "PositionXUnit": [place.unit or "pixel"] * len(names),
            "PositionYUnit": [place.unit or "pixel"] * len(names),
        },
    }
    if place.unit is not None:
        metadata |= {"PhysicalSizeX": place.width, "PhysicalSizeY": place.height}
        metadata |= {f"PhysicalSize{axis}Unit": place.unit for axis in "XY"}
    with written_whole(path) as partial:
        tifffile.imwrite(
            partial,
            np.moveaxis(values, -1, 0) if values.ndim == 3 else values,
            ome=True,
            photometric="minisblack",
            compression="deflate",
            predictor=True,
            metadata=metadata,
            software=f"napari-cwtnet {__version__}",
        )


RECORD = "inspection.json"
PAGE = "report.html"
_KIND: Literal["napari-cwtnet inspection"] = "napari-cwtnet inspection"
_PLACES = "probe-places"
_NAMES = "|".join(
    (
        r"attention-(?:mean|block-\d+)",
        r"(?:displacement|probe)-block-\d+",
        rf"image-(?:{'|'.join(IMAGES)})",
        rf"band-(?:{'|'.join(IMAGES)})-[A-Za-z]+\d+",
        r"wt-(?:predicted|target)-[A-Za-z]+",
        *map(re.escape, (_PLACES, MARKED, *TRUST)),
    )
)
_OWN = re.compile(rf"(?:{_NAMES})\.(?:png|ome\.tif)|{re.escape(RECORD)}|{re.escape(PAGE)}")
"""Names that an inspection writes. No other file is replaced, whatever a record says."""
_QUERY, _BEST, _MATCH = (255, 255, 255), (90, 255, 90), (90, 220, 255)


def check_folder(folder: Path) -> None:
    """Refuse, before anything is computed, a folder that must not be written to.

    Raises
    ------
    OutputError
        If it has no name, is a file, lies in no folder or one that cannot be written to, or holds
        what no inspection wrote.
    """
    if folder.name in ("", ".."):
        raise OutputError(f"Output {folder} is no name of a folder; give one, such as inside.")
    if folder.is_file():
        raise OutputError(f"Output {folder} is a file; give the name of a folder.")
    if not folder.absolute().parent.is_dir():
        raise OutputError(
            f"Folder {folder.absolute().parent} does not exist; make it or choose another output."
        )
    if folder.is_dir():
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
        strange = sorted(there - _written_before(folder))
        if strange:
            raise OutputError(
                f"Folder {folder} holds {strange[0]!r}, which no inspection wrote; choose a new "
                "folder."
            )
    check_writable(folder)


class _Before(BaseModel):
    kind: Literal["napari-cwtnet inspection"]
    files: set[str]


def _written_before(folder: Path) -> set[str]:
    try:
        found = _Before.model_validate_json(read_file(folder / RECORD))
    except (OSError, ValidationError):
        return set()
    return {name for name in {RECORD, *found.files} if _OWN.fullmatch(name)}


def save_inspection(folder: Path, found: Survey) -> dict[str, Any]:
    """Write a folder, whole or not at all; one that an inspection wrote before is replaced.

    Parameters
    ----------
    folder : Path
        Gets ``NAME.ome.tif`` (float32) and ``NAME.png`` for each map, ``report.html`` and
        ``inspection.json``.
    found : Survey
        What to write.

    Returns
    -------
    dict
        JSON values: ``files`` and the statistics, as in ``inspection.json``.

    Raises
    ------
    OutputError
        If it cannot be written, or the folder holds something else.
    """
    check_folder(folder)
    with folder_written_whole(folder) as partial:
        partial.mkdir()
        writer = _Writer(partial, found)
        sections = writer.sections()
        (partial / PAGE).write_text(report_page(found, sections), encoding="utf-8")
        record = {
            "kind": _KIND,
            **found.field.provenance,
            "files": sorted([PAGE, RECORD, *writer.files]),
            **found.statistics,
            "probes": [_probed(probe) for probe in found.probes],
        }
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        (partial / RECORD).write_text(f"{text}\n", encoding="utf-8")
    return record


class _Writer:
    def __init__(self, folder: Path, found: Survey) -> None:
        self.files: list[str] = []
        self._folder, self._found = folder, found
        plan = found.field.plan
        self._badge, self._mpp = plan.badge, plan.native_mpp
        if self._mpp is not None:
            self._mpp, _ = pixel_sides(self._mpp, plan.pixel_aspect)  # its bars run across

    def sections(self) -> list[Section]:
        """Write every map; give what the page shows of them."""
        found, field = self._found, self._found.field
        known = field.truth is not None
        sections = [
            Section(
                "What was read and what was made",
                "The same field: what the network was given and what it computed"
                f"{', and what is really there' if known else ''}.",
                [self._images()],
            )
        ]
        attention = [one for one in found.attention if one.palette != "direction"]
        steps = [one for one in found.attention if one.palette == "direction"]
        if attention:
            sections.append(Section("Attention", attention[0].meaning, [self._maps(attention)]))
        if steps:
            said = " ".join(matches_sentence(field, n) for n in range(1, field.blocks + 1))
            sections.append(Section("Where the texture came from", said, [self._maps(steps)]))
        if found.probes:
            sections.append(
                Section(
                    "One query asked",
                    "White: the 3 × 3 patch that was asked. Green, numbered: the patches most "
                    "like it. Blue: what the network took.",
                    [self._probes()],
                )
            )
        return [
            *sections,
            Section(
                "Sub-bands",
                "Haar sub-bands of every image"
                f"{' and those that the WT branch predicts' if found.attention else ''}. Detail is "
                f"grey about 0{'; compare the same octave of SR and truth' if known else ''}.",
                [self._maps(list(row)) for _, row in groupby(found.bands, _row)],
                energy_table(found.statistics["band_energies"], IMAGES),
                "four",
            ),
            Section(
                "How far to trust it",
                "In maps of error and spread, bright asks for caution"
                f"{'; in PSNR and SSIM, dark does' if known else ''}. Each says what it "
                "measures; its scale is the same for every field.",
                [self._trust()],
            ),
        ]

    def _trust(self) -> list[Picture]:
        """Without the predicted error where the expected one is the same."""
        made = {one.name: self._map(one) for one in self._found.trust}
        values = {one.name: one.values for one in self._found.trust}
        if "predicted-error" in values and np.array_equal(
            values["predicted-error"], values["expected-error"]
        ):
            del made["predicted-error"]
        return list(made.values())

    def _maps(self, maps: Sequence[Map]) -> list[Picture]:
        return [self._map(one) for one in maps]

    def _map(self, one: Map, boxes: Sequence[Box] = ()) -> Picture:
        provenance = self._found.field.provenance
        self.files.append(f"{one.name}.ome.tif")
        save_map(self._folder / self.files[-1], one, provenance)
        title = map_provenance(one, provenance)["badge"]
        picture = map_picture(one, self._badge, self._mpp, boxes)
        first, *_ = one.meaning.partition(". ")
        note = f"{first.removesuffix('.')}."
        return Picture(one.name, one.title, note, self._png(one.name, picture, title))

    def _images(self) -> list[Picture]:
        field = self._found.field
        known = {"lr": field.lr, "reference": field.reference, "sr": field.sr, "truth": field.truth}
        made = []
        for name, image in known.items():
            if image is None:
                continue
            title = {"lr": "LR, what was read", "reference": "Reference, one octave finer"}.get(
                name, "SR, computed" if name == "sr" else "Truth, the slide's own pixels"
            )
            badge = self._badge if name == "sr" else ""
            picture = image_picture(image, title, badge, (field.plan.region, self._mpp))
            png = self._png(f"image-{name}", picture, self._badge)
            note = f"{image.shape[1]} × {image.shape[0]} pixels."
            made.append(Picture(f"image-{name}", title, note, png))
        return made

    def _probes(self) -> list[Picture]:
        field = self._found.field
        made: list[Picture] = []
        for probe in self._found.probes:
            boxes = _boxes(probe)
            part = next(one for one in field.parts if one.tile.read == probe.region)
            title = "LR of the tile that the query was computed in"
            picture = image_picture(part.lr, title, "", (probe.region, self._mpp), boxes)
            if probe.block == 1:
                png = self._png(_PLACES, picture, self._badge)
                made.append(Picture(_PLACES, title, probe.sentence, png))
            made.append(self._map(probe_map(field, probe), boxes))
        return made

    def _png(self, name: str, picture: Pixels, title: str) -> bytes:
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt("Title", title)
        notes.add_itxt("Comment", json.dumps({"computed": True, "badge": title}))
        held = io.BytesIO()
        Image.fromarray(picture).save(held, format="PNG", pnginfo=notes)
        self.files.append(f"{name}.png")
        (self._folder / self.files[-1]).write_bytes(held.getvalue())
        return held.getvalue()


def _row(one: Map) -> str:
    """Of the page: the bands of one octave of one image; all that the WT branch predicts."""
    kind, image, *band = one.name.split("-")
    return kind if kind == "wt" else f"{image} {band[0][2:]}"


def _boxes(probe: Probe) -> list[Box]:
    best = [Box(patch.box, _BEST, str(n)) for n, patch in enumerate(probe.best, start=1)]
    return [*best, Box(probe.match.box, _MATCH), Box(probe.query, _QUERY, "query")]


def _probed(probe: Probe) -> dict[str, Any]:
    def place(region: Any) -> list[float]:
        return [region.x, region.y, region.width, region.height]

    return {
        "block": probe.block,
        "query": place(probe.query),
        "match": {"box": place(probe.match.box), "relevance": probe.match.relevance},
        "rank": probe.rank,
        "best": [{"box": place(one.box), "relevance": one.relevance} for one in probe.best],
    }
