"""Parameters of the model."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from bertops.section import Section

Preset = Literal["tiny", "mini", "small", "medium", "base", "large"]


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder."""

    layers: int
    hidden: int
    heads: int
    intermediate: int


# Turc et al. 2019, "Well-Read Students Learn Better" (tiny to medium); Devlin et al. 2019.
PRESETS: dict[str, Shape] = {
    "tiny": Shape(2, 128, 2, 512),
    "mini": Shape(4, 256, 4, 1024),
    "small": Shape(4, 512, 8, 2048),
    "medium": Shape(8, 512, 8, 2048),
    "base": Shape(12, 768, 12, 3072),
    "large": Shape(24, 1024, 16, 4096),
}

ASKED_OF_ANY = ("architecture", "init_from", "dropout")
"""What is asked for beside `init_from`, too; the rest that model brings with it."""


class ModelParams(Section):
    """Architecture and sizes. The vocabulary is the tokenizer's, padded to a multiple of 64."""

    architecture: Literal["bert", "modernbert"] = Field(
        "modernbert",
        description="bert: post-norm, learned positions. modernbert: pre-norm, rotary, gated.",
    )
    init_from: str | None = Field(
        None,
        description="Carry on from this model instead of fresh weights: a directory, a hub name, "
        "package:NAME/FOLDER, or models:/name/version. `architecture` must be its own, `dropout` "
        "counts, and all else here comes from it. DVC does not see an alias move, so name a "
        "version where that matters.",
    )
    preset: Preset | None = Field(None, description="Sizes by name; explicit sizes win over it.")
    layers: int | None = Field(None, ge=1, description="Encoder layers.")
    hidden: int | None = Field(None, ge=8, description="Width of the residual stream.")
    heads: int | None = Field(None, ge=1, description="Attention heads; must divide `hidden`.")
    intermediate: int | None = Field(
        None, ge=8, description="Width inside the feed-forward part (of each half when gated)."
    )
    max_positions: int = Field(
        512, ge=8, description="Longest text in tokens that the model takes."
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Share dropped while training, everywhere.")
    local_attention: int = Field(
        128,
        ge=2,
        multiple_of=2,
        description="Tokens that a local layer sees, half on either side (modernbert).",
    )
    attention_pattern: str = Field(
        "GLL",
        pattern="^[GL]+$",
        description="Repeated over the layers: G sees the whole text, L its neighbourhood "
        "(modernbert).",
    )
    classifier_pooling: Literal["cls", "mean"] = Field(
        "mean", description="What a classifier made of this encoder reads (modernbert)."
    )
    initializer_range: float = Field(0.02, gt=0, description="Standard deviation of new weights.")

    @property
    def shape(self) -> Shape:
        """The sizes: those given, else those of the preset."""
        base = PRESETS[self.preset] if self.preset else None
        names = ("layers", "hidden", "heads", "intermediate")
        sizes = {name: getattr(self, name) or getattr(base, name, 0) for name in names}
        return Shape(**sizes)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        shape = self.shape
        if self.init_from is not None:
            fields = type(self).model_fields.items()
            other = [name for name, field in fields if getattr(self, name) != field.default]
            given = [name for name in other if name not in ASKED_OF_ANY]
            if given:
                raise ValueError(f"init_from brings its own; leave out {', '.join(given)}")
            return self
        missing = [name for name, value in vars(shape).items() if not value]
        if missing:
            raise ValueError(f"without a preset, give {', '.join(missing)}")
        if shape.hidden % shape.heads:
            raise ValueError(f"hidden ({shape.hidden}) is not a multiple of heads ({shape.heads})")
        if self.architecture == "modernbert" and shape.hidden // shape.heads % 2:
            raise ValueError(
                f"hidden / heads ({shape.hidden // shape.heads}) must be even for rotary positions"
            )
        return self
