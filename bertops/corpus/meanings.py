"""What each rule asks of a document, in words: its name says it only to who knows the papers."""

import re
from collections.abc import Iterable

from bertops.corpus.params import CorpusParams
from bertops.corpus.rules.gopher import STOP_WORDS
from bertops.corpus.rules.judge import Rule, rules_of

MEASURED = {
    "repetition.duplicate_paragraphs": "of its paragraphs seen before in it",
    "repetition.duplicate_paragraph_characters": "of its characters in paragraphs seen before",
    "repetition.duplicate_lines": "of its lines seen before in it",
    "repetition.duplicate_line_characters": "of its characters in lines seen before",
    "repetition.top_gram": "of its characters in its most frequent run of {n} words",
    "repetition.duplicate_gram": "of its characters in runs of {n} words seen before",
    "gopher.too_few_words": "words that are no punctuation",
    "gopher.too_many_words": "words that are no punctuation",
    "gopher.words_too_short": "characters a word, on average",
    "gopher.words_too_long": "characters a word, on average",
    "gopher.hash_ratio": "number signs a word",
    "gopher.ellipsis_ratio": "ellipses a word",
    "gopher.bullet_lines": "of its lines beginning with a bullet",
    "gopher.ellipsis_lines": "of its lines ending in an ellipsis",
    "gopher.alphabetic_words": "of its words with a letter",
    "gopher.stop_words": f"different ones of these words: {', '.join(STOP_WORDS)}",
    "c4.lorem_ipsum": "mentions of lorem ipsum",
    "c4.curly_bracket": "curly brackets, as code has them",
    "c4.too_few_sentences": "sentences, in lines that read like prose",
    "fineweb.line_punctuation": "of its lines ending in punctuation",
    "fineweb.short_lines": "of its lines short",
    "fineweb.duplicate_line_characters": "of its characters in lines seen before",
    "fineweb.newline_ratio": "line ends a word",
    "chinese.too_short": "Chinese characters",
    "chinese.chinese_share": "of its words Chinese characters",
    "chinese.paragraph_characters": "characters a paragraph, on average",
    "chinese.end_punctuation": "of its paragraphs ending in punctuation",
    "chinese.duplicate_ngrams": "of its runs of 10 characters seen before in it",
}
"""Rule → what its value counts; `_3gram` and the like stand as `_gram`."""


def meanings(names: Iterable[str], params: CorpusParams) -> dict[str, str]:
    """Rule → what a document must have to pass it, for every rule of `names` that is known."""
    known = _others(params) | {rule.name: _asked(rule) for rule in rules_of(params.rules)}
    return {name: known[name] for name in names if name in known}


def _asked(rule: Rule) -> str:
    """`at most 0.3 of its lines ending in an ellipsis`."""
    n = re.search(r"_(\d+)gram", rule.name)
    what = MEASURED[re.sub(r"_\d+gram", "_gram", rule.name)]
    words = what.format(n=n[1]) if n else what
    return f"{'at least' if rule.side == 'min' else 'at most'} {rule.threshold:g} {words}"


def _others(params: CorpusParams) -> dict[str, str]:
    """Rules that are no measure of one text."""
    dedup, leak = params.dedup, params.decontaminate
    return {
        "normalize.empty": "some text left after repairs",
        "language.not_kept": "a language that is kept",
        "language.unsure": f"a language that is at least {params.language.min_score:g} likely",
        "dedup.exact": "other words than every document that stays",
        "dedup.near": (
            f"a Jaccard similarity below {dedup.min_jaccard:g}, by runs of {dedup.ngram} words, to "
            "every document that stays"
        ),
        "decontaminate.ngram": (
            f"fewer than {leak.min_matches} runs of {leak.ngram} words that an evaluation text has"
        ),
        "decontaminate.near_copy": "no evaluation text that it nearly equals",
    }
