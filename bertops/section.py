"""Section: the base of every parameter model."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen group of parameters that refuses unknown keys.

    Every field has a description with its unit, so that the reference page can be generated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
