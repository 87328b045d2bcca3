"""Section: the base of every parameter model, and the values that several of them have."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""Starts a random generator; numpy takes 32 bits."""
LearningRate = Annotated[float, Field(gt=0)]
Precision = Literal["auto", "fp32", "bf16"]


class Section(BaseModel):
    """A frozen group of parameters that refuses unknown keys.

    Every field has a description with its unit, so that the reference page can be generated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
