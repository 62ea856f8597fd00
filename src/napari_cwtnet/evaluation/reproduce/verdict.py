"""Where the row that all are held against came out, in a sentence for each scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari_cwtnet.evaluation.reproduce.experiment import GIVEN_THE_REFERENCE
from napari_cwtnet.evaluation.reproduce.writing import with_interval


def verdict(told: dict[str, Any]) -> Iterator[str]:
    """Sentences on a table, out of its JSON; none for a table without PSNR.

    A difference whose interval has both signs is called none.
    """
    name = told.get("compared")
    for scale in sorted({row["scale"] for row in told["rows"]}) if name else ():
        rows = [row for row in told["rows"] if row["scale"] == scale]
        fair = [
            row
            for row in rows
            if row["row"]["test"] not in GIVEN_THE_REFERENCE and row["row"]["test"] != "oracle"
        ]
        own = next((row for row in fair if row["row"]["name"] == name), None)
        if own is None or len(fair) < 2:
            continue
        place = 1 + sum(row["psnr"]["mean"] > own["psnr"]["mean"] for row in fair)
        best = max((r for r in fair if r is not own), key=lambda r: r["psnr"]["mean"])
        within = best["lead_interval"]
        bicubic = next((r for r in fair if not r["hashes"]), own)
        if bicubic["psnr"]["mean"] > own["psnr"]["mean"]:
            yield f"×{scale}: {name} is below {bicubic['row']['name']}: trained too little.\n"
        sure = ""
        if within is None:
            sure = ", which so few images do not make a difference"
        elif within[0] <= 0 <= within[1]:
            sure = ", which is no difference over these images"
        seeds = min(len(row["seeds"]) for row in fair if row["hashes"])
        yield (
            f"×{scale}: {name} is number {place} of {len(fair)} by PSNR; the best other row, "
            f"{best['row']['name']}, is {with_interval(best['lead'], within)} dB from it{sure}. "
            f"Trainings of each: {seeds}; the interval knows nothing of how they differ.\n"
        )
