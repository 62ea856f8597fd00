"""Where training pixels come from: folders of images, and slides that are split by place."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_cwtnet.enhancement.request import Sharpness
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region

Box = tuple[float, float, float, float]


class ImageSource(BaseModel):
    """A folder of images, each taken as high-resolution truth."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="short name, as in model cards")
    folder: str = Field(description="path, relative to the data root given to the run")
    licence: str = Field(description="licence and origin, credited in the model card")
    halvings: int = Field(0, ge=0, le=3, description="times the image is halved before use")
    weight: float = Field(1.0, gt=0, description="share of patches, relative to other sources")
    held_out: tuple[str, ...] = Field((), description="file name patterns kept for validation")
    tested: tuple[str, ...] = Field(
        (), description="file name patterns of images used for neither training nor validation"
    )


class SlideSource(BaseModel):
    """A slide whose own pixels are the truth; a part of it, or all, is kept for validation.

    Boxes are (x, y, width, height) in level-0 pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    path: str = Field(description="slide file, relative to the data root given to the run")
    fingerprint: str | None = Field(
        None, description="Slide.fingerprint; a file that shows another slide is refused"
    )
    icc: bool = Field(True, description="whether an embedded ICC profile is applied")
    regions: tuple[Box, ...] = Field(
        (), description="boxes that fields are cut from; none: the whole slide"
    )
    held_out: tuple[Box, ...] = Field(
        (), description="boxes kept for validation, apart from the regions by a guard band"
    )
    held_out_share: float = Field(
        1 / 3,
        ge=0,
        le=1,
        description="where held_out is empty: right-hand share of each region for validation",
    )
    downsamples: tuple[Literal[1, 2, 4, 8, 16], ...] = Field(
        (1,), min_length=1, description="at which the slide is the truth; LR has scale times that"
    )
    levels: Literal["computed", "stored", "own"] = Field(
        "computed",
        description="LR and reference made from level 0 (antialiased bicubic), or from the "
        "scanner's own coarser levels where there are any; own: these, and where there are none "
        "they are made as the slide's own would be, for a model that is told",
    )
    sharpness: Sharpness = Field(
        "auto", description="of own levels that the slide lacks, where its levels do not tell"
    )
    weight: float = Field(1.0, gt=0, description="share of patches, relative to other sources")
    memory: int = Field(256, ge=1, description="MiB of training pixels kept")
    validation_fields: int = Field(16, ge=1, description="held-out fields measured on, at most")

    @field_validator("regions", "held_out")
    @classmethod
    def _boxes_have_an_area(cls, boxes: tuple[Box, ...]) -> tuple[Box, ...]:
        try:
            for box in boxes:
                Region(*box)
        except RequestError as error:
            raise ValueError(str(error)) from error
        return boxes


class StartModel(BaseModel):
    """The model that a fine-tuning starts from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="a model's name, or a .safetensors file")
    sha256: str | None = Field(None, description="of its file; another file is refused")
