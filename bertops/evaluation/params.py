"""Knobs of the evaluation."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from bertops.section import Section, Seed


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
        "comparison is underpowered for every smaller difference, and calls none of them better.",
    )
    seed: Seed = Field(0, description="Decides which documents each bootstrap round draws.")


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
    seed: Seed = Field(0, description="Decides which tokens are hidden.")


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


class BehaviourParams(Section):
    """Promises that a trained model is tried on."""

    cases: dict[str, tuple[str, ...]] = Field(
        {},
        description="By task, files of cases: names of ours (sentiment.en, sentiment.zh), or paths "
        "of one's own.",
    )


class BiasParams(Section):
    """Groups of people that are compared."""

    groups: dict[str, dict[str, tuple[str, ...]]] = Field(
        {
            "gender": {
                "women": ("she", "her", "woman", "women", "girl", "mother", "她", "女士", "女人"),
                "men": ("he", "his", "man", "men", "boy", "father", "他", "先生", "男人"),
            }
        },
        description="By grouping, two groups and the words that a document of each holds; one "
        "that holds words of both is left out.",
    )
    min_documents: int = Field(100, ge=1, description="Smaller groups are reported, not judged.")
    max_gap: float = Field(
        0.05,
        gt=0,
        le=1,
        description="A gap in accuracy is called one when its interval lies beyond this.",
    )
    pairs: tuple[str, ...] = Field(
        ("pairs.en",), description="Files of sentence pairs for the encoder: ours, or paths."
    )

    @field_validator("groups")
    @classmethod
    def _two_of_each(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, groups in value.items():
            if len(groups) != 2:
                raise ValueError(f"{name} needs two groups, and has {len(groups)}")
        return value


class MemorizationParams(Section):
    """Whether the encoder tells its training documents from others."""

    documents: int = Field(
        150, ge=10, description="Training and held-out documents that are told apart, of each."
    )


class EvaluationParams(Section):
    """What is measured, and how surely."""

    compare: CompareParams = Field(CompareParams(), description="Comparison of models.")
    slices: SliceParams = Field(SliceParams(), description="Parts of the test set.")
    contamination: ContaminationParams = Field(
        ContaminationParams(), description="Test documents in the pretraining corpus."
    )
    behaviour: BehaviourParams = Field(
        BehaviourParams(), description="Promises beside the test set."
    )
    bias: BiasParams = Field(BiasParams(), description="Groups of people.")
    memorization: MemorizationParams = Field(
        MemorizationParams(), description="Attack on the training data."
    )
    heldout: HeldoutParams = Field(HeldoutParams(), description="Masked-LM loss.")
    fill_mask: FillMaskParams = Field(FillMaskParams(), description="Examples in the report.")
