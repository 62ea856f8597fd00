"""The recipe: one frozen schema of everything that a training run depends on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from napari_cwtnet.enhancement.plan import Sharpness
from napari_cwtnet.errors import ModelError, RequestError, TrainingError
from napari_cwtnet.geometry import Region
from napari_cwtnet.model.architectures import CWTNET, find_architecture
from napari_cwtnet.model.base import BaseConfig, Network, Scale
from napari_cwtnet.training.degrade import DegradationMix

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
    """A slide whose own pixels are the truth; part or all of it is held out for validation.

    Boxes are (x, y, width, height) in level-0 pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    path: str = Field(description="slide file, relative to the data root given to the run")
    fingerprint: str | None = Field(
        None, description="of the slide; a file that shows another one is refused"
    )
    icc: bool = Field(True, description="whether an embedded ICC profile is applied")
    image: int | None = Field(None, ge=0, description="which one, of a file that holds several")
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
        description="right-hand share of each region for validation, where held_out is empty",
    )
    downsamples: tuple[Literal[1, 2, 4, 8, 16], ...] = Field(
        (1,), min_length=1, description="at which the slide is the truth; LR has scale times that"
    )
    levels: Literal["computed", "stored", "own"] = Field(
        "computed",
        description="LR and reference made from level 0 (antialiased bicubic), or from the "
        "scanner's own coarser levels where they exist; own: those, or levels made as the slide's "
        "own would be, for a model that takes the degradation",
    )
    sharpness: Sharpness = Field(
        "auto", description="of own levels that the slide lacks, where its levels do not reveal it"
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


class Loss(BaseModel):
    """Eqs. 10 to 12 of the CWT-Net paper, and ``Haar``, which is ours.

    ``L = sr (L1 + sr_ssim (1 - SSIM) + sr_haar Haar) + wt (L1 + wt_ssim (1 - SSIM))``, with MSE for
    L1 where ``pixel`` says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sr: float = Field(0.3, ge=0, description="λ1, weight of the image")
    wt: float = Field(0.7, ge=0, description="λ2, weight of the sub-bands")
    sr_ssim: float = Field(0.2, ge=0, description="λ3, weight of 1 − SSIM of the image")
    wt_ssim: float = Field(0.2, ge=0, description="λ4, the same of the sub-bands")
    sr_haar: float = Field(
        0.0, ge=0, description="times sr, weight of L1 between Haar detail bands"
    )
    pixel: Literal["l1", "mse"] = Field("l1", description="distance beside SSIM (Table IV)")


class Adversarial(BaseModel):
    """A discriminator that learns to distinguish SR from truth, as in SRGAN (arXiv 1609.04802).

    SRGAN also compares VGG features, whose weights would need a download; ``details`` compares
    Haar detail bands instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: float = Field(1e-3, gt=0, description="of the adversarial loss")
    details: float = Field(0.1, ge=0, description="of the L1 between detail bands, three octaves")
    after: int = Field(0, ge=0, description="steps with the plain loss alone before it")
    learning_rate: float = Field(
        3e-4, gt=0, description="Adam's rate for the discriminator, the same to the end"
    )
    channels: int = Field(64, ge=4, le=256, description="of the discriminator's first layer")


_ALLOWED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "fields, each with its name",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "literal_error": "{expected}",
    "model_type": "fields, each with its name",
    "multiple_of": "a multiple of {multiple_of:g}",
    "string_pattern_mismatch": "text that fits {pattern}",
    "string_type": "text",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list",
}
_LONGEST = 60


def first_wrong(error: ValidationError, model: type[BaseModel], whole: str) -> str:
    """Describe the first wrong field, unknown fields first.

    Parameters
    ----------
    error : ValidationError
        From pydantic.
    model : type
        The model that checked the fields, for their names and descriptions.
    whole : str
        Name to use where the fields are wrong together.

    Returns
    -------
    str
        For instance ``sources.0.halvings: 9 is given; give a number of at most 3: times the image
        is halved before use``.
    """
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    where = ".".join(str(key) for key in first["loc"]) or whole
    known, meaning = _known_of(model, first["loc"])
    meaning = f": {meaning}" if meaning else ""
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown field; choose one of {', '.join(known)}"
    if first["type"] == "missing":
        return f"{where}: missing; give it{meaning}"
    allowed = _ALLOWED.get(first["type"])
    if allowed is None:
        return (
            f"{where}: {' '.join(first['msg'].split()).removeprefix('Value error, ').rstrip('.')}"
        )
    wanted = allowed.format(**first.get("ctx", {}))
    return f"{where}: {_shown(first['input'])} is given; give {wanted}{meaning}"


def _known_of(model: type[BaseModel], keys: tuple[int | str, ...]) -> tuple[list[str], str]:
    """Names of the last key's sibling fields, and its own description."""
    own: type[BaseModel] | None = model
    names: list[str] = []
    meaning = ""
    for key in keys:
        if not isinstance(key, str):
            continue
        fields = own.model_fields if own is not None else {}
        names = list(fields)
        meaning = (fields[key].description or "") if key in fields else ""
        own = next(_models(fields[key].annotation), None) if key in fields else None
    return names, meaning


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


__all__ = [
    "Adversarial",
    "ImageSource",
    "Loss",
    "Recipe",
    "SlideSource",
    "StartModel",
    "load_recipe",
    "make_recipe",
    "read_fields",
    "shipped_recipes",
]


class Recipe(BaseModel):
    """Data, network, loss, optimiser, schedule and budget of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$",
        description="name of the trained model and of its file",
    )
    scale: Scale = Field(description="2, 4 or 8")
    architecture: str = Field(CWTNET, description="name of the network's architecture")
    preset: str = Field("lite", description="size of the network, one of its architecture's")
    network: dict[str, Any] = Field({}, description="fields that differ from the preset")
    start: StartModel | None = Field(
        None, description="model to go on from, which finetune sets; none: from scratch"
    )
    sources: tuple[ImageSource, ...] = Field((), description="folders of images")
    slides: tuple[SlideSource, ...] = Field((), description="slides, split by place")
    loss: Loss = Field(Loss(), description="what training reduces")
    adversarial: Adversarial | None = Field(None, description="set for SRGAN only")
    reference_share: float = Field(
        0.0, ge=0, le=1, description="share of batches whose WT branch gets the true reference"
    )
    degradation: DegradationMix | None = Field(
        None, description="how LR and reference are made; none: antialiased bicubic, clean"
    )
    patch: int = Field(48, ge=16, multiple_of=2, description="patch side, LR pixels")
    late_patch: int | None = Field(
        None, ge=16, multiple_of=2, description="patch side in the last part of the budget"
    )
    late_share: float = Field(0.1, gt=0, lt=1, description="share of the budget for late_patch")
    batch: int = Field(8, ge=1, description="patches a step")
    learning_rate: float = Field(5e-4, gt=0, description="Adam's peak rate; cosine to 1 % of it")
    warm_up: int = Field(100, ge=0, description="steps of linear warm-up")
    gradient_clip: float = Field(1.0, gt=0, description="largest gradient norm")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights; 0 is off")
    steps: int = Field(10_000, ge=1, description="length of the schedule")
    minutes: float | None = Field(
        None, gt=0, description="time budget, pauses left out; the schedule ends with it"
    )
    validate_every: int = Field(500, ge=1, description="steps between validations")
    device: str = Field("cpu", description="auto, cpu, cuda:0 or mps")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="of the forward pass")
    seed: int = Field(0, description="of the first weights and of every draw")

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name == "last":
            raise ValueError("last.safetensors is the run's own state; choose another name")
        return name

    @model_validator(mode="before")
    @classmethod
    def _architecture_s_own_defaults(cls, fields: Any) -> Any:
        """Fill in the architecture's own defaults for missing fields."""
        if not isinstance(fields, dict) or not isinstance(fields.get("architecture"), str):
            return fields
        try:
            return dict(find_architecture(fields["architecture"]).recipe) | fields
        except ModelError as error:
            raise ValueError(str(error).rstrip(".")) from error

    @model_validator(mode="after")
    def _there_is_data(self) -> Recipe:
        if not self.sources and not self.slides:
            raise ValueError("give sources (folders of images) or slides to train on")
        return self

    def network_config(self) -> BaseConfig:
        """The network that this recipe trains.

        Raises
        ------
        ValueError
            If the preset or a field of ``network`` is unknown or out of range, or the recipe
            trains with references that the network cannot take.
        """
        architecture = find_architecture(self.architecture)
        if "scale" in self.network:
            raise ValueError("network.scale: set by the recipe's own scale; leave it out")
        known = [name for name in architecture.config.model_fields if name != "scale"]
        for name in self.network.keys() - set(known):
            raise ValueError(f"network.{name}: unknown field; choose one of {', '.join(known)}")
        config = architecture.preset(self.preset, self.scale, **self.network)
        if self.architecture != CWTNET and self.reference_share > 0 and not config.wt_branch:
            raise ValueError(f"reference_share: {self.architecture} takes no reference; give 0")
        return config

    def new_network(self) -> Network:
        """An untrained network of :meth:`network_config`; draws from torch's random numbers."""
        return find_architecture(self.architecture).network(self.network_config())

    def without_paths(self) -> Recipe:
        """The recipe with slides named by fingerprint only, without folders of this machine."""
        slides = tuple(slide.model_copy(update={"path": ""}) for slide in self.slides)
        start = self.start
        if start is not None:
            start = start.model_copy(update={"name": Path(start.name).stem})
        return self.model_copy(update={"slides": slides, "start": start})

    def to_yaml(self) -> str:
        """The recipe as YAML text that :func:`load_recipe` reads back to an equal one."""
        fields = self.model_dump(mode="json")
        return str(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from a YAML file.

    Raises
    ------
    TrainingError
        If the file is missing or a field is unknown or out of range.
    """
    return make_recipe(read_fields(path), f"Recipe {path}")


def read_fields(path: Path) -> Any:
    """What a YAML file holds, not yet checked.

    Raises
    ------
    TrainingError
        If the file is missing or not YAML.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise TrainingError(f"Recipe {path} is not a file; give a YAML file.")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"Recipe {path} cannot be read: {error.strerror}.") from error
    except RecursionError as error:
        raise TrainingError(f"Recipe {path} nests its fields too deeply.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise TrainingError(f"Recipe {path}: {' '.join(str(error).split())}.") from error


def make_recipe(fields: Any, where: str) -> Recipe:
    """A recipe from its fields; ``where`` they come from begins every message.

    Raises
    ------
    TrainingError
        If a field is unknown or out of range.
    """
    try:
        recipe = Recipe.model_validate(fields)
    except ValidationError as error:
        raise TrainingError(f"{where}: {first_wrong(error, Recipe, 'the file')}.") from error
    try:
        recipe.network_config()
    except ValidationError as error:
        config = find_architecture(recipe.architecture).config
        raise TrainingError(f"{where}: network.{first_wrong(error, config, 'sizes')}.") from error
    except ValueError as error:
        raise TrainingError(f"{where}: {error}.") from error
    return recipe


def shipped_recipes() -> dict[str, Path]:
    """Names and files of the recipes that made the shipped models."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "recipes").glob("*.yaml"))}
