"""Knobs of the evaluation."""

from typing import Self

from pydantic import Field, model_validator

from bertops.section import Section


class CompareParams(Section):
    """How two models are compared on the same documents."""

    rounds: int = Field(10_000, ge=100, description="Bootstrap rounds.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Coverage of every interval.")
    power: float = Field(
        0.8, gt=0.5, lt=1, description="Chance of finding an effect of minimum detectable size."
    )
    margin: float = Field(
        0.01,
        ge=0,
        description="Loss, in units of the metric, that still counts as 'not worse'.",
    )
    detectable: float = Field(
        0.03,
        gt=0,
        description="Where the minimum detectable effect exceeds this, in units of the metric, a "
        "comparison is underpowered, and a difference smaller than that effect is inconclusive.",
    )
    seed: int = Field(0, ge=0, description="Decides which documents each bootstrap round draws.")


class HeldoutParams(Section):
    """Masked-LM loss on documents that pretraining never saw."""

    mask_rate: float = Field(
        0.15, gt=0, lt=1, description="Share of the tokens hidden, whatever pretraining hid."
    )
    documents: int = Field(
        300, ge=1, description="At most this many held-out documents, chosen by their ids."
    )
    row_tokens: int = Field(
        128, ge=8, description="Length of the pieces that documents are cut into, in tokens."
    )
    batch_rows: int = Field(16, ge=1, description="Pieces computed together.")
    seed: int = Field(0, ge=0, description="Decides which tokens are hidden.")


class FillMaskParams(Section):
    """Sentences with a hole, for the reader of the report."""

    sentences: tuple[str, ...] = Field(
        (
            "the movie was [MASK] .",
            "the acting is [MASK] and the story is boring .",
            "one of the [MASK] films i have ever seen .",
            "i would [MASK] this film to anyone .",
        ),
        description="Sentences with one [MASK] each.",
    )
    top: int = Field(5, ge=1, description="Words shown for each hole.")

    @model_validator(mode="after")
    def _each_has_one_hole(self) -> Self:
        for sentence in self.sentences:
            if sentence.count("[MASK]") != 1:
                raise ValueError(f"needs exactly one [MASK]: {sentence!r}")
        return self


class EvaluationParams(Section):
    """What is measured, and how surely."""

    compare: CompareParams = Field(CompareParams(), description="Comparison of models.")
    heldout: HeldoutParams = Field(HeldoutParams(), description="Masked-LM loss.")
    fill_mask: FillMaskParams = Field(FillMaskParams(), description="Examples in the report.")
