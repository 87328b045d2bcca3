"""Behaviour: small promises that a score over a test set does not show.

Cases are written in YAML: *minimum* (a label that must come), *invariant* (an answer that must
not change) and *directional* (a probability that must rise or fall).

Source: Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList".
"""

import itertools
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from bertops.errors import UsageError
from bertops.section import Section

CASES = Path(__file__).parent / "cases"
EXAMPLES = 3

Classify = Callable[[Sequence[str]], NDArray[np.float64]]
"""Texts → probabilities [texts, labels], in the order of the model's labels."""


class CasesBroken(UsageError):
    """A file of behaviour cases cannot be used."""

    def __init__(self, file: Path, problem: str) -> None:
        self.file = file
        super().__init__(f"{file}: {problem}")


class Case(Section):
    """One promise, filled in with many words."""

    name: str = Field(description="What is promised, in a few words.")
    capability: str = Field(description="What a model needs for it, such as negation.")
    kind: Literal["minimum", "invariant", "directional"] = Field(description="Kind of promise.")
    text: str = Field("", description="Text with {words} to fill in.")
    texts: tuple[str, ...] = Field((), description="Invariant: texts to be answered alike.")
    vary: str = Field("", description="Invariant: the word list whose words must not matter.")
    added: str = Field("", description="Directional: what is added to the text.")
    label: str = Field("", description="Label that must come, or whose probability must move.")
    moves: Literal["up", "down"] | None = Field(None, description="Directional: which way.")
    tolerance: float = Field(
        0.05, ge=0, description="Directional: a move against it up to this probability is none."
    )

    @model_validator(mode="after")
    def _has_its_parts(self) -> Self:
        wanted = {
            "minimum": self.text and self.label,
            "invariant": self.texts or (self.text and self.vary),
            "directional": self.text and self.added and self.label and self.moves,
        }
        if not wanted[self.kind]:
            raise ValueError(f"case {self.name!r} lacks a part that kind {self.kind!r} needs")
        return self


class CaseFile(Section):
    """Cases of one task in one language."""

    language: str = Field(description="ISO 639-1 code.")
    labels: tuple[str, ...] = Field(description="Labels that the cases speak of.")
    words: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Words by list.")
    cases: tuple[Case, ...] = Field(min_length=1, description="The promises.")


@dataclass(frozen=True)
class CaseResult:
    """How often a promise was kept."""

    name: str
    capability: str
    kind: str
    language: str
    tried: int
    failed: int
    examples: tuple[str, ...]
    """Some that failed, with what the model said."""


def find_file(name: str, root: Path = Path()) -> Path:
    """A file of cases or pairs: one of ours by its name, or a path."""
    ours = CASES / f"{name}.yaml"
    return ours if ours.exists() else root / name


def read_cases(file: Path) -> CaseFile:
    """The cases in a YAML file.

    Raises:
        CasesBroken: it is missing, no YAML, or a case lacks something.
    """
    try:
        return CaseFile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise CasesBroken(file, str(error)) from error


def try_cases(cases: CaseFile, classify: Classify, labels: Sequence[str]) -> list[CaseResult]:
    """Try every case on a classifier.

    Raises:
        UsageError: a case speaks of a label that the model does not have.
    """
    unknown = sorted(set(cases.labels) - set(labels))
    if unknown:
        raise UsageError(
            f"behaviour cases speak of label {unknown[0]!r}; the model has {', '.join(labels)}. "
            "Name other cases for this task under evaluation.behaviour in params.yaml."
        )
    tries = {"minimum": _minimum, "invariant": _invariant, "directional": _directional}
    results = []
    for case in cases.cases:
        outcomes = list(tries[case.kind](case, cases.words, classify, list(labels)))
        failed = [said for kept, said in outcomes if not kept]
        results.append(
            CaseResult(
                case.name, case.capability, case.kind, cases.language, len(outcomes), len(failed),
                tuple(failed[:EXAMPLES]),
            )
        )  # fmt: skip
    return results


Outcome = tuple[bool, str]
Words = Mapping[str, tuple[str, ...]]


def _minimum(case: Case, words: Words, classify: Classify, labels: list[str]) -> Iterator[Outcome]:
    texts = list(fill(case.text, words))
    for text, row in zip(texts, classify(texts), strict=True):
        label = labels[int(row.argmax())]
        yield label == case.label, f"{text} → {label} {row.max():.2f}"


def _invariant(
    case: Case, words: Words, classify: Classify, labels: list[str]
) -> Iterator[Outcome]:
    """Every text of a group must get the label of the group's first."""
    others = {name: some for name, some in words.items() if name != case.vary}
    groups = [list(case.texts)] if case.texts else [
        list(fill(text, words)) for text in fill(case.text, others)
    ]  # fmt: skip
    for group in groups:
        first, *rest = [labels[i] for i in classify(group).argmax(axis=1)]
        for text, label in zip(group[1:], rest, strict=True):
            yield label == first, f"{group[0]} → {first}, but {text} → {label}"


def _directional(
    case: Case, words: Words, classify: Classify, labels: list[str]
) -> Iterator[Outcome]:
    sign = 1 if case.moves == "up" else -1
    column = labels.index(case.label)
    for text in fill(case.text, words):
        longer = [text + added for added in fill(case.added, words)]
        before, *after = classify([text, *longer])[:, column]
        for full, probability in zip(longer, after, strict=True):
            moved = sign * (probability - before)
            yield bool(moved >= -case.tolerance), f"{full} → {before:.2f} to {probability:.2f}"


def fill(text: str, words: Words) -> Iterator[str]:
    """`text` with its {words} filled in, every combination; others in braces stay as they are."""
    fields = [name for _, name, _, _ in string.Formatter().parse(text) if name]
    names = [name for name in dict.fromkeys(fields) if name in words]
    for chosen in itertools.product(*(words[name] for name in names)):
        filled = text
        for name, word in zip(names, chosen, strict=True):
            filled = filled.replace(f"{{{name}}}", word)
        yield filled
