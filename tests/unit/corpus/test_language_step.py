"""The language step: which documents it drops, and why."""

import polars as pl
import pytest

from bertops.corpus.judge import Judged, judge_batch
from bertops.corpus.params import CorpusParams, LanguageParams, SourceParams
from bertops.corpus.tables import RAW
from bertops.document import SplitParams
from tests.unit.corpus.test_clean import NO_RULES

TEXTS = {
    "en": "The house stood at the end of the lane, and nobody had lived in it for years.",
    "de": "Das Haus stand am Ende der Straße, und seit Jahren hatte niemand darin gewohnt.",
    "ru": "Москва является столицей России и крупнейшим городом страны.",
}


def judged(
    language: LanguageParams, languages: tuple[str, ...] | None = None, text: str | None = None
) -> Judged:
    texts = [text] if text is not None else list(TEXTS.values())
    rows = [
        {"doc_id": f"{i}", "source": "s", "file": "f", "row": i, "text": t}
        for i, t in enumerate(texts)
    ]
    source = SourceParams(name="s", path="s", languages=languages)
    params = CorpusParams(sources=(source,), language=language, rules=NO_RULES)
    split = SplitParams(validation=0, test=0)
    return judge_batch(pl.DataFrame(rows, RAW), source, params, split)


def test_other_languages_are_dropped_and_named() -> None:
    found = judged(LanguageParams(keep=("en",)))
    assert found.kept["language"].to_list() == ["en"]
    assert found.ledger.select("step", "rule", "detail", "first").rows() == [
        ("language", "language.not_kept", "de", True),
        ("language", "language.not_kept", "ru", True),
    ]


def test_a_kept_language_that_is_not_sure_is_dropped_with_score_and_limit() -> None:
    score = judged(LanguageParams(keep=())).kept["language_score"][0]
    text = TEXTS["en"]
    assert len(judged(LanguageParams(min_score=score), text=text).kept) == 1
    found = judged(LanguageParams(min_score=min(1, score + 1e-4)), text=text)
    assert found.ledger.select("rule", "value", "threshold", "detail").rows() == [
        ("language.unsure", score, min(1, score + 1e-4), "en")
    ]


@pytest.mark.parametrize(
    ("languages", "kept"),
    [(("de",), ["de"]), (("de", "ru"), ["de", "ru"]), ((), ["en", "de", "ru"]), (None, ["en"])],
)
def test_a_source_keeps_its_own_languages(
    languages: tuple[str, ...] | None, kept: list[str]
) -> None:
    found = judged(LanguageParams(keep=("en",)), languages)
    assert found.kept["language"].to_list() == kept


def test_switched_off_it_names_languages_and_drops_none() -> None:
    found = judged(LanguageParams(enabled=False))
    assert found.kept["language"].to_list() == ["en", "de", "ru"]
    assert found.ledger.is_empty()
