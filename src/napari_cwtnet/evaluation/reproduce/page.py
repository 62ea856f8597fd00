"""The results page: tables, plots and pictures out of the folders of tables that are done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from napari_cwtnet.errors import OutputError, RequestError
from napari_cwtnet.evaluation.reproduce.experiment import GIVEN_THE_REFERENCE
from napari_cwtnet.evaluation.reproduce.pictures import AXES, GIVEN, plot_rows, require_matplotlib
from napari_cwtnet.evaluation.reproduce.writing import verdict
from napari_cwtnet.files import written_whole

PICTURES = "pictures"
EXPECTED = "expected.md"
_PLOTTED = {"table1": tuple(AXES), "table5": ("time",)}
GUIDE = Path("../how-to/reproduce.md")
_INTRO = """\
# The paper's tables, done again

Made by `napari-cwtnet reproduce page`; how to make it again, at any budget, is told in {guide}.
The paper's figures stand beside ours and are not to be compared with them: other images, smaller
networks, and a budget that each table names. What can be compared are the rows of one table with
one another.

**How it is measured.** PSNR and SSIM of 8-bit RGB, with a border of as many pixels as the scale
cut off; the mean over test fields. A mean over seeds is given with its standard deviation. The
interval of a difference is a bootstrap over test images, field by field against the same field;
it tells how the difference depends on the images, not how it depends on the seed, and fields of
one patient or slide are more alike than it knows. Times are CPU seconds of one process, on a
machine that may have had other work: good to a tenth or two.

**What nobody should read into it.** A row under "given the next-higher level" has a picture of
twice the resolution to start from, and a row marked ORACLE has the answer: neither stands for
super-resolution of LR alone.

**Not reproduced.** The paper's data (MLCamSR, FTMS, PCam), its sizes but for SRCNN (5 million
parameters for CWT-Net at ×2), its length of training, and LPIPS. Tables and scales that are not
below were not done.

**Where this reading of the paper is a choice.** By its text the paper's CWT-Net is given the
original image at ×2 in its quantitative tests, by its Table III it is not (39.3 dB, against 44.0
with it): here it is not. At ×4 and ×8 the paper gives CWT-Net the level above LR and the other
methods nothing: here that is a table of its own, and the single-image CWT-Net stands with the
other methods. A global bicubic skip, for all rows of a table, is not the paper's. "I_GT up and
down" of Table III is read as down and up again. CWT-Net of Table I is this package's lite preset,
not the paper's.
"""


def write_page(folders: Sequence[Path], output: Path, remarks: str = "remarks.md") -> list[Path]:
    """``README.md`` in ``output``, with the tables as CSV, plots and pictures.

    Parameters
    ----------
    folders : sequence of Path
        Outputs of ``reproduce``; a table that several hold, with different budgets, comes twice.
    output : Path
        Made if it is not there.
    remarks : str
        Name of a page in ``output`` that is linked, if it exists.

    Returns
    -------
    list of Path
        What was written, the page first.

    Raises
    ------
    RequestError
        If a folder holds no table, or matplotlib is missing.
    OutputError
        If ``output`` cannot be written to.
    """
    found = _tables(folders)
    read = {name: _read(source) for name, source in found.items()}
    if any(told["table"] in _PLOTTED for told, _ in read.values()):
        require_matplotlib()
    try:
        (output / PICTURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Folder {output} cannot be made: {error.strerror}; choose another --output."
        ) from error
    files: list[Path] = []
    lines = [_INTRO.format(guide=_guide(output))]
    if (output / EXPECTED).exists():
        lines.append(f"What was [expected]({EXPECTED}) was written before.\n")
    if (output / remarks).exists():
        lines.append(f"What is to be said of them: [remarks]({remarks}).\n")
    for name, source in found.items():
        told, text = read[name]
        lines += [text.strip(), ""]
        lines += [*verdict(told), ""]
        for picture in _pictures(told, name, source.parent, output):
            files.append(picture)
            if GIVEN in picture.stem:
                lines += ["Given the next-higher level; not to be compared with the above:", ""]
            lines += [f"![{picture.stem}]({PICTURES}/{picture.name})", ""]
        copy = output / f"{name}.csv"
        _copied(source.with_suffix(".csv"), copy)
        files.append(copy)
        lines += [f"As a file: [{copy.name}]({copy.name}).", ""]
    page = output / "README.md"
    with written_whole(page) as partial:
        partial.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return [page, *files]


def _guide(output: Path) -> str:
    """The page on how to reproduce: as a link where it stands beside, else by its place."""
    if (output / GUIDE).is_file():
        return f"[how to reproduce]({GUIDE.as_posix()})"
    return "`docs/how-to/reproduce.md` of napari-cwtnet"


def _tables(folders: Sequence[Path]) -> dict[str, Path]:
    """JSON files by the name that a table has on the page, in the order of the paper."""
    found: dict[str, Path] = {}
    for folder in folders:
        own = sorted(folder.glob("table[1-6].json"))
        if not own:
            raise RequestError(f"Folder {folder} holds no table; run `reproduce table1` into it.")
        for path in own:
            same = sum(other.stem == path.stem for other in found.values())
            found[path.stem + (f"-{same + 1}" if same else "")] = path
    return dict(sorted(found.items()))


def _pictures(told: dict[str, Any], name: str, folder: Path, output: Path) -> Iterator[Path]:
    """Plots of Table I and V, and the strips that their runs left."""
    if told["table"] in _PLOTTED:
        for scale in sorted({row["scale"] for row in told["rows"]}):
            rows = [
                row
                for row in told["rows"]
                if row["scale"] == scale
                and row["hashes"]
                and row["row"]["test"] not in GIVEN_THE_REFERENCE
                and row["row"]["test"] != "oracle"
            ]
            for what in _PLOTTED[told["table"]]:
                path = output / PICTURES / f"{name}-x{scale}-{what}.jpg"
                plot_rows(rows, what, f"{told['title']}, ×{scale}", told["compared"], path)
                yield path
    strips = [
        strip
        for scale in sorted({row.get("scale", 0) for row in told["rows"]})
        for strip in sorted((folder / PICTURES).glob(f"{told['table']}-x{scale}-*.jpg"))
    ]
    strips.sort(key=lambda strip: GIVEN in strip.stem)
    for strip in strips:
        copy = output / PICTURES / strip.name.replace(told["table"], name, 1)
        _copied(strip, copy)
        yield copy


def _read(source: Path) -> tuple[dict[str, Any], str]:
    """JSON and Markdown of a table."""
    try:
        told = json.loads(source.read_text(encoding="utf-8"))
        text = source.with_suffix(".md").read_text(encoding="utf-8")
        return {"table": told["table"], "rows": told["rows"]} | told, text
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"Table {source} or its .md cannot be read: {' '.join(str(error).split())[:200]}; do "
            "that table again, its trainings are kept."
        ) from error


def _copied(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise OutputError(
            f"{source} cannot be copied to {target}: {error.strerror}; choose another --output, or "
            "do the table again."
        ) from error
