"""The words of the badge, which a computed image carries wherever it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cwtnet.geometry import magnification

if TYPE_CHECKING:
    from napari_cwtnet.enhancement.plan import Plan


def badge_words(plan: Plan) -> str:
    """Words such as ``COMPUTED · 40× from 20× · 0.249 µm/px · lite-x2 · research use only``."""
    word = "ORACLE" if plan.mode == "oracle" else "COMPUTED"
    if plan.output_mpp is None or plan.native_mpp is None:
        fine = f"×{plan.scale} · downsample {plan.output_downsample:g} from {plan.downsample:g}"
    else:
        read = plan.native_mpp * plan.downsample
        label = magnification(read)
        if label is None:
            fine = f"×{plan.scale} · {plan.output_mpp:.3g} µm/px from {read:.3g}"
        else:
            fine = f"{label * plan.scale}× from {label}× · {plan.output_mpp:.3g} µm/px"
    given = " · cross-scale" if plan.mode == "cross-scale" else ""
    return f"{word} · {fine}{given} · {plan.model_name} · research use only"
