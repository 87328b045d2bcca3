"""Knobs of the evaluation."""

from typing import Self

from pydantic import Field, field_validator, model_validator

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
        description="Loss, as a share of a perfect score, that still counts as 'not worse'.",
    )
    detectable: float = Field(
        0.03,
        gt=0,
        description="Where the minimum detectable effect exceeds this share of a perfect score, a "
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


class SliceParams(Section):
    """Parts of the test set that are looked at on their own."""

    columns: tuple[str, ...] = Field(
        ("source", "language"),
        description="Columns of the task's data to cut by, where it has them.",
    )
    lengths: tuple[int, ...] = Field(
        (600, 1200, 2400), description="Bounds of the length slices, in characters, rising."
    )
    min_documents: int = Field(100, ge=1, description="Smaller slices are reported and not judged.")

    @field_validator("lengths")
    @classmethod
    def _bounds_rise(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(set(value)) != list(value) or (value and value[0] < 1):
            raise ValueError("must rise, from 1 on")
        return value


class ContaminationParams(Section):
    """What counts as a test document that is in the pretraining corpus."""

    ngram: int = Field(13, ge=1, description="Words in a row that make an overlap.")
    min_words: int = Field(
        8, ge=1, description="A text of fewer words than `ngram` is looked up by all its words, "
        "from this number on; shorter ones only as whole documents.",
    )  # fmt: skip
    phrase_documents: int = Field(
        10, ge=1, description="A run of words in more corpus documents than this is a phrase."
    )
    leaked_share: float = Field(
        0.5, gt=0, le=1, description="A document is leaked when this share of its runs is there."
    )


class EvaluationParams(Section):
    """What is measured, and how surely."""

    compare: CompareParams = Field(CompareParams(), description="Comparison of models.")
    slices: SliceParams = Field(SliceParams(), description="Parts of the test set.")
    contamination: ContaminationParams = Field(
        ContaminationParams(), description="Test documents in the pretraining corpus."
    )
    heldout: HeldoutParams = Field(HeldoutParams(), description="Masked-LM loss.")
    fill_mask: FillMaskParams = Field(FillMaskParams(), description="Examples in the report.")
