"""Rules: each is broken by a document made for it; the fast measures equal the obvious ones."""

from collections import Counter

import polars as pl
import pytest

from bertops.corpus.params import C4Params, GopherQualityParams, RuleParams
from bertops.corpus.rules.flat import split_words
from bertops.corpus.rules.judge import measure, rules_of
from bertops.corpus.rules.repetition import NgramRepetition

PROSE = """\
The house stood at the end of the lane, and nobody had lived in it for years. In summer the \
children would climb over the wall to steal the apples that fell into the long grass. They told \
each other that an old man watched them from the upper window, but it was only a curtain that \
moved with the wind.

One morning in October a woman came with two suitcases and a dog. She opened all the windows, \
swept the floors, and burned a heap of yellow newspapers behind the kitchen. By the evening \
there was smoke over the chimney. "You may have the apples," she said to the children, "if you \
help me to paint the door."
"""
CHINESE = (
    "清晨的阳光照进院子里，老人坐在门前慢慢地喝茶。孩子们背着书包从巷口走过，笑着向他问好。"
    "他点点头，望着远处的山，想起了年轻时走过的那些路。如今路还在，走路的人却已经换了几代。"
)


def failed(text: str, language: str = "en", params: RuleParams | None = None) -> set[str]:
    """Names of the rules that a text breaks."""
    params = params or RuleParams()
    series, languages = pl.Series("text", [text]), pl.Series("language", [language])
    measures, _ = measure(series, languages, params)
    table = measures.with_columns(languages)
    return {rule.name for rule in rules_of(params) if table.select(rule.failed()).item()}


def test_good_prose_breaks_no_rule() -> None:
    assert failed(PROSE) == set()
    assert failed(CHINESE, "zh") == set()


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("gopher.too_few_words", "Only a few words here."),
        ("gopher.words_too_short", "a b c d e f " * 30),
        ("gopher.words_too_long", "Donaudampfschifffahrtsgesellschaft " * 60),
        ("gopher.hash_ratio", PROSE.replace(" the ", " # the # ") + " # " * 20),
        ("gopher.ellipsis_ratio", PROSE.replace(" ", " ... ", 40)),
        ("gopher.bullet_lines", "\n".join("- " + s for s in PROSE.replace("\n", " ").split(". "))),
        ("gopher.ellipsis_lines", "\n".join(s + "..." for s in PROSE.split(". "))),
        ("gopher.alphabetic_words", PROSE + "1 22 333 4444 " * 40),
        ("gopher.stop_words", "Große Häuser stehen leer. " * 3 + "Viele Leute gehen fort. " * 20),
        ("repetition.duplicate_lines", "the same line again\n" * 20),
        ("repetition.duplicate_paragraphs", "the same paragraph again\n\n" * 20),
        ("repetition.top_2gram", "very good " * 50 + PROSE),
        ("repetition.duplicate_10gram", PROSE.split("\n")[0] + " " + PROSE.split("\n")[0]),
        ("c4.lorem_ipsum", PROSE + "\nLorem ipsum dolor sit amet.\n"),
        ("c4.curly_bracket", PROSE + "\nfunction f() { return; }.\n"),
        ("c4.too_few_sentences", "no end mark in any line " * 10),
        ("fineweb.line_punctuation", "\n".join(PROSE.replace(".", "").split(","))),
        ("fineweb.short_lines", "\n".join(PROSE.split(" "))),
        ("fineweb.duplicate_line_characters", PROSE + "\n" + PROSE),
        ("fineweb.newline_ratio", "\n".join(PROSE.split(" "))),
    ],
)
def test_each_rule_is_broken_by_a_document_made_for_it(rule: str, text: str) -> None:
    assert rule in failed(text.strip())


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("chinese.too_short", "太短了。"),
        ("chinese.chinese_share", CHINESE + " This part is English, and longer than the rest." * 4),
        ("chinese.paragraph_characters", "\n".join(CHINESE)),
        ("chinese.end_punctuation", CHINESE.replace("。", "\n")),
        ("chinese.duplicate_ngrams", CHINESE * 3),
    ],
)
def test_chinese_rules_are_broken_by_documents_made_for_them(rule: str, text: str) -> None:
    assert rule in failed(text, "zh")


def test_every_failed_rule_is_named_not_only_the_first() -> None:
    assert {"gopher.too_few_words", "c4.too_few_sentences"} <= failed("Buy now")


def test_rules_that_count_words_say_nothing_on_languages_without_spaces() -> None:
    assert not any(name.startswith("gopher") for name in failed(CHINESE, "zh"))
    assert failed("東京は日本の首都である。", "ja") == set()


def test_a_document_is_judged_alike_in_any_batch() -> None:
    texts = pl.Series("text", [PROSE, "Buy now", "the same line\n" * 9, "", "?!"])
    language = pl.Series("language", ["en"] * 5)
    together, _ = measure(texts, language, RuleParams())
    alone = pl.concat(
        measure(texts[i : i + 1], language[i : i + 1], RuleParams())[0] for i in range(5)
    )
    assert together.equals(alone, null_equal=True)


def test_c4_writes_only_the_lines_that_pass_when_asked() -> None:
    text = "A first full sentence here.\nMenu\nPlease enable Javascript now.\nA last one, too."
    params = RuleParams(c4=C4Params(drop_lines=True))
    _, shortened = measure(pl.Series([text]), pl.Series(["en"]), params)
    assert shortened.to_list() == ["A first full sentence here.\nA last one, too."]


def test_switched_off_rules_drop_nothing() -> None:
    off = RuleParams(gopher_quality=GopherQualityParams(enabled=False), c4=C4Params(enabled=False))
    assert failed("Only a few words stand in this line here.", params=off) == set()


def top_reference(words: list[str], n: int) -> int:
    """Characters of the most frequent n-gram times its count, the obvious way."""
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return len(gram) * count if count > 1 else 0


def walk_reference(words: list[str], n: int) -> int:
    """Characters in n-grams seen before, jumping over each, as Gopher counts them."""
    seen, repeated, place = set[str](), 0, 0
    while place < len(words) - n + 1:
        gram = "".join(words[place : place + n])
        if gram in seen:
            repeated += len(gram)
            place += n
        else:
            seen.add(gram)
            place += 1
    return repeated


def test_repeated_ngrams_equal_the_obvious_way() -> None:
    texts = [
        PROSE,
        "a b a b a b a c a b " * 4,
        "one",
        "",
        "x y " * 30 + PROSE,
        "so it is so it is so",
    ]
    series = pl.Series("text", texts)
    words = split_words(series)
    every = dict.fromkeys(range(2, 11), 0.0)
    found = NgramRepetition(words, series.str.len_chars()).measure(every, every)
    for document, text in enumerate(texts):
        mine = words.filter(pl.col("document") == document)["word"].to_list()
        for n in every:
            size = max(len(text), 1)
            assert found[f"top_{n}gram"][document] == pytest.approx(top_reference(mine, n) / size)
            share = walk_reference(mine, n) / size
            assert found[f"duplicate_{n}gram"][document] == pytest.approx(share)


def test_text_made_to_blow_up_takes_linear_time() -> None:
    hostile = ["x" * 1_000_000, "a " * 200_000, "(" * 100_000, "\u0301" * 100_000, "a\n" * 100_000]
    measure(pl.Series("text", hostile), pl.Series(["en"] * 5), RuleParams())
