"""How well a vocabulary fits a text."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from tokenizers import Tokenizer


@dataclass(frozen=True)
class Fit:
    """Tokens against words. A word is what whitespace and punctuation leave."""

    documents: int
    words: int
    tokens: int
    tokens_per_word: float
    unknown_share: float
    """Share of tokens that are [UNK], 0 to 1."""


def measure_fit(tokenizer: Tokenizer, texts: Iterable[str], limit: int | None = None) -> Fit:
    """Tokenize the first `limit` texts (all by default) and count.

    Fewer tokens per word means shorter rows for the same text; unknown tokens are lost text.
    """
    documents = words = tokens = unknown = 0
    unk = tokenizer.get_vocab()["[UNK]"]
    for text in islice(texts, limit):
        encoding = tokenizer.encode(text, add_special_tokens=False)
        documents += 1
        words += len({word for word in encoding.word_ids if word is not None})
        tokens += len(encoding.ids)
        unknown += encoding.ids.count(unk)
    return Fit(
        documents=documents,
        words=words,
        tokens=tokens,
        tokens_per_word=round(tokens / max(words, 1), 4),
        unknown_share=round(unknown / max(tokens, 1), 6),
    )
