"""One frozen recipe says everything that a training run depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from napari_cwtnet.errors import ModelError, TrainingError
from napari_cwtnet.model.architectures import CWTNET, find_architecture
from napari_cwtnet.model.base import BaseConfig, Network, Scale
from napari_cwtnet.training.degrade import DegradationMix
from napari_cwtnet.training.loss_fields import Adversarial, Loss
from napari_cwtnet.training.sources import ImageSource, SlideSource, StartModel
from napari_cwtnet.training.wrong_field import first_wrong

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
        description="name of the model that comes out and of its file",
    )
    scale: Scale
    architecture: str = Field(CWTNET, description="see napari_cwtnet.model.architectures")
    preset: str = Field("lite", description="of the architecture; napari_cwtnet.model.preset")
    network: dict[str, Any] = Field({}, description="fields that differ from the preset")
    start: StartModel | None = Field(None, description="model to go on from; none: from scratch")
    sources: tuple[ImageSource, ...] = Field((), description="folders of images")
    slides: tuple[SlideSource, ...] = Field((), description="slides, split by place")
    loss: Loss = Loss()
    adversarial: Adversarial | None = Field(None, description="none, but for SRGAN")
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
    late_share: float = Field(0.1, gt=0, lt=1, description="how much of it that part is")
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
    seed: int = 0

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name == "last":
            raise ValueError("last.safetensors is the run's own state; choose another name")
        return name

    @model_validator(mode="before")
    @classmethod
    def _architecture_s_own_defaults(cls, fields: Any) -> Any:
        """What is not said is as the architecture's paper has it, as far as that differs."""
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
            If the preset or a field of ``network`` is unknown or out of range, or references are
            asked for that the network cannot take.
        """
        architecture = find_architecture(self.architecture)
        if "scale" in self.network:
            raise ValueError("network.scale: the recipe's own scale says it; leave it out")
        known = [name for name in architecture.config.model_fields if name != "scale"]
        for name in self.network.keys() - set(known):
            raise ValueError(
                f"network.{name}: there is no such field; known are {', '.join(known)}"
            )
        config = architecture.preset(self.preset, self.scale, **self.network)
        if self.architecture != CWTNET and self.reference_share > 0 and not config.wt_branch:
            raise ValueError(f"reference_share: {self.architecture} takes no reference; give 0")
        return config

    def new_network(self) -> Network:
        """An untrained one of :meth:`network_config`; draws from torch's random numbers."""
        return find_architecture(self.architecture).network(self.network_config())

    def without_paths(self) -> Recipe:
        """The same recipe with slides by their fingerprint only, and no folder of this machine."""
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
        If the file is missing or no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"Recipe {path} cannot be read: {error.strerror}.") from error
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
