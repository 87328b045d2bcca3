"""datatrove as the oracle of the rules (extra `oracle`): it says of each text what ours say."""

import random

import pytest

from tests.unit.corpus.test_clean import prose
from tests.unit.corpus.test_rules import PROSE

pytest.importorskip("datatrove", reason="needs the extra oracle")
pytest.importorskip("spacy", reason="needs the extra oracle")

SENTENCES = PROSE.replace("\n", " ").split(". ")


def texts(count: int) -> list[str]:
    """Texts good and bad: prose, lists, repetitions, single words, marks."""
    rng = random.Random(5)
    return [_text(rng, kind=place % 8) for place in range(count)]


def _text(rng: random.Random, kind: int) -> str:
    several = rng.choices(SENTENCES, k=rng.randint(3, 20))
    return {
        0: PROSE.replace("apples", prose(rng.randint(0, 99), 3)),
        1: ". ".join(rng.sample(SENTENCES, len(SENTENCES))) + ".",
        2: ". ".join(several) + ".",
        3: "\n".join(several),
        4: "\n".join(f"- {sentence}" for sentence in several),
        5: prose(rng.randint(0, 9999), rng.randint(20, 200)),
        6: ".\n".join(several) + "... { # }",
        7: PROSE + " ".join(f"{n} ..." for n in range(rng.randint(0, 90))),
    }[kind]


def test_verdicts_are_those_of_datatrove() -> None:
    from benchmarks.corpus import our_verdicts, verdict_agreement

    sample = texts(200)
    share, different = verdict_agreement(sample)
    assert len(set(our_verdicts(sample))) >= 4
    assert share >= 0.99, different
