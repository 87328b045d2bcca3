"""datatrove's filters, set up as its users have them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import regex
from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashConfig, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupCluster
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.utils import text as datatrove_text
from datatrove.utils.hashing import HashConfig
from datatrove.utils.word_tokenizers import WordTokenizer
from loguru import logger

logger.remove()  # it tells about every bucket

FILTERS = {
    "repetition": GopherRepetitionFilter,
    "gopher": GopherQualityFilter,
    "c4": C4QualityFilter,
    "fineweb": FineWebQualityFilter,
}
# Rust's \w, which Python's `re` has without marks: bertops.corpus.rules.flat.WORD.
LETTER = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]"
WORDS = regex.compile(
    rf"{LETTER}+(?:['’]{LETTER}+)*|[^\s\p{{Alphabetic}}\p{{M}}\p{{Nd}}\p{{Pc}}\p{{Join_Control}}]+"
)
SENTENCE_END = regex.compile(r"[.?!。！？…]+[\"'”’)\]」』]*(?:\s|$)|[。！？…]+[”’」』）]*")


class Chain:
    """Encoding, language, the four families of rules, personal data."""

    def __init__(self) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        self.language = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self.filters = {name: made() for name, made in FILTERS.items()}
        self.pii = PIIFormatter()

    def run(self, texts: Sequence[str]) -> list[str | None]:
        """First filter that each text fails; None: kept."""
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> str | None:
        import ftfy

        document = Document(text=ftfy.fix_text(text), id="0")
        if self.language.classify(document.text[:600])[0] != "en":
            return "language"
        failed = first_failure(document, self.filters)
        if failed is None:
            self.pii.format(document.text)
        return failed


def first_failure(document: Document, filters: dict[str, Any]) -> str | None:
    """Name of the first filter that refuses the document; C4 removes lines on the way."""
    for name, one in filters.items():
        verdict = one.filter(document)
        if not (verdict if isinstance(verdict, bool) else verdict[0]):
            return name
    return None


def verdicts(texts: Sequence[str]) -> list[str | None]:
    """First failed filter of each text."""
    filters = {name: made() for name, made in FILTERS.items()}
    return [first_failure(Document(text=text, id="0"), filters) for text in texts]


class OurWords(WordTokenizer):
    """Words and sentences split as bertops does it."""

    def word_tokenize(self, text: str) -> list[str]:
        """Words and runs of marks."""
        return WORDS.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        """Sentences."""
        return [text[a:b] for a, b in self.span_tokenize(text)]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Where sentences begin and end; what follows the last mark is one when it has words."""
        ends = [match.end() for match in SENTENCE_END.finditer(text)]
        if WORDS.search(text[ends[-1] if ends else 0 :]) and regex.search(
            r"\w", text[ends[-1] if ends else 0 :]
        ):
            ends.append(len(text))
        return list(zip([0, *ends[:-1]], ends, strict=True)) if ends else []


@contextlib.contextmanager
def our_words() -> Iterator[None]:
    """datatrove splitting words and sentences as bertops does, so that only rules differ."""
    datatrove_text.split_into_parts.cache_clear()
    tokenizer = OurWords()
    with mock.patch("datatrove.utils.word_tokenizers.load_word_tokenizer", return_value=tokenizer):
        yield
    datatrove_text.split_into_parts.cache_clear()


def near_duplicates(texts: Sequence[str], folder: Path) -> None:
    """Signatures, buckets and clusters, the three steps that find what is to be dropped."""
    config = MinhashConfig(hash_config=HashConfig(precision=64, hash_fc="sha1"))
    documents = (Document(text=text, id=str(i)) for i, text in enumerate(texts))
    signatures = MinhashDedupSignature(str(folder / "signatures"), config)
    for _ in signatures.run(documents) or ():
        pass
    for bucket in range(config.num_buckets):
        buckets = MinhashDedupBuckets(
            str(folder / "signatures"), str(folder / "buckets"), config=config
        )
        for _ in buckets.run(None, bucket, config.num_buckets) or ():
            pass
    cluster = MinhashDedupCluster(str(folder / "buckets"), str(folder / "remove"), config=config)
    for _ in cluster.run(None, 0, 1) or ():
        pass
