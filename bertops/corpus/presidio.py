"""Personal data that the patterns of `pii` do not know, found by Microsoft Presidio.

Presidio (extra `presidio`) has patterns and check digits for identifiers of many countries, and
takes names and places from spaCy models that the user has installed. It sees what `pii` left, and
never replaces a placeholder. An identifier of a country is sought in documents of its language, a
general one like MAC_ADDRESS in all.

Nothing is fetched: left alone, Presidio would load a spaCy model, and its check of mail domains the
list of public suffixes. Pipelines are blank ones or those that are named, and the list is the one
that tldextract ships.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from inspect import isclass
from typing import Any

import polars as pl

from bertops.corpus.params import PresidioParams
from bertops.extras import PackageMissing, require

PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*>")
# What `pii` finds, too, has one placeholder, whoever found it.
OURS = {
    "CREDIT_CARD": "card",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
}
# Where Presidio's classes name other languages than its own list of recognizers does, or a country.
LANGUAGES = {"CaSinRecognizer": ("en", "fr"), "KrPassportRecognizer": ("ko",)}
NO_TOKENIZER = ("ja", "ko", "th", "vi")  # spaCy's need packages of their own; blanks must do
PIECE_CHARACTERS = 20_000  # spaCy refuses a million; the search for context is quadratic


@dataclass(frozen=True)
class Recognizer:
    """One of Presidio's recognizers by pattern."""

    kind: Any
    """Its class."""
    entity: str
    languages: tuple[str, ...] | None
    """Of the documents that it is for; None: all."""


@dataclass(frozen=True)
class Reader:
    """Presidio for the documents of one language."""

    analyzer: Any
    pipeline: Any
    language: str
    entities: tuple[str, ...]
    """Those asked for that are found in this language."""

    def redact(self, text: str, min_score: float) -> tuple[str, dict[str, int]]:
        """`text` with everything found replaced by `<KIND>`, and how often each kind was."""
        parts: list[str] = []
        counts: Counter[str] = Counter()
        for piece in _pieces(text):
            found = self.analyzer.analyze(
                piece, self.language, list(self.entities), score_threshold=min_score
            )
            done = 0
            for start, end, entity in _places(piece, found):
                kind = OURS.get(entity, entity.lower())
                counts[kind] += 1
                parts += [piece[done:start], f"<{kind.upper()}>"]
                done = end
            parts.append(piece[done:])
        return "".join(parts), dict(sorted(counts.items()))


def replace_entities(
    text: pl.Series, language: pl.Series, params: PresidioParams
) -> tuple[pl.Series, list[dict[str, int]]]:
    """Replace what Presidio finds in the texts of a batch; `prepare` has seen that it can.

    Args:
        text: after `replace_pii`.
        language: of each text, ISO 639-1 or `und`. Where nothing that is asked for can be found
            in a language, its texts stay as they are.
        params: what to find, and with which models.

    Returns:
        The texts, and for each how many places were replaced, by kind.
    """
    texts: list[str] = text.to_list()
    counts: list[dict[str, int]] = [{} for _ in texts]
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, code in enumerate(language.to_list()):
        rows_of[code].append(row)
    for code, rows in rows_of.items():
        reader = _reader(code, params.models.get(code), tuple(sorted(set(params.entities))))
        if reader is None:
            continue
        with reader.pipeline.memory_zone():  # else spaCy keeps every word that it ever met
            for row in rows:
                texts[row], counts[row] = reader.redact(texts[row], params.min_score)
    return pl.Series(text.name, texts, pl.String), counts


@cache
def recognizers() -> tuple[Recognizer, ...]:
    """All of Presidio's recognizers by pattern; those that ask a service are not among them."""
    require("presidio", "presidio_analyzer", "spacy", reason="corpus.pii.presidio needs it")
    import tldextract.tldextract as domains
    from presidio_analyzer import predefined_recognizers as package

    domains.TLD_EXTRACTOR = domains.TLDExtract(cache_dir=None, suffix_list_urls=())
    found = []
    for name, kind in sorted(vars(package).items()):
        family = getattr(kind, "__module__", "").removeprefix(f"{package.__name__}.").split(".")[0]
        if isclass(kind) and family in ("generic", "country_specific"):
            one: Any = kind()
            own = LANGUAGES.get(name, (one.supported_language,))
            (entity,) = one.supported_entities
            found.append(Recognizer(kind, entity, None if family == "generic" else own))
    return tuple(found)


@cache
def _reader(language: str, model: str | None, asked: tuple[str, ...]) -> Reader | None:
    """Made once in a process; None where nothing that is asked for is found in the language."""
    chosen = [
        recognizer.kind(supported_language=language)
        for recognizer in recognizers()
        if recognizer.entity in asked and language in (recognizer.languages or (language,))
    ]
    if not chosen and model is None:
        return None
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer

    pipeline = pipeline_of(language, model)
    labels = labels_of(pipeline)
    if named := sorted({*labels.values()} & {*asked}):
        chosen.append(SpacyRecognizer(language, named))
    if not chosen:
        return None
    engine: Any = SpacyNlpEngine(
        [{"lang_code": language, "model_name": model or "blank"}],
        NerModelConfiguration(model_to_presidio_entity_mapping=labels),
    )
    engine.nlp = {language: pipeline}  # so that it counts as loaded; loading would download
    registry = RecognizerRegistry(chosen, supported_languages=[language])
    return Reader(
        AnalyzerEngine(registry, engine, supported_languages=[language]),
        pipeline,
        language,
        tuple(sorted({entity for one in chosen for entity in one.supported_entities})),
    )


@cache
def pipeline_of(language: str, model: str | None) -> Any:
    """The spaCy pipeline of that name or folder; without one, a blank one that splits words."""
    require("presidio", "presidio_analyzer", "spacy", reason="corpus.pii.presidio needs it")
    import spacy
    from spacy.language import Language

    if model is None:
        pipeline = spacy.blank(_tokenized_as(language))
    else:
        try:
            pipeline = spacy.load(model)
        except OSError as error:
            reason = f"corpus.pii.presidio.models wants this spaCy model for {language!r}"
            remedy = (
                f"Install it, as in: python -m spacy download {model}; or name a folder of one."
            )
            raise PackageMissing(model, reason, remedy) from error
    Language.component("words_as_lemmas", func=_words_as_lemmas)
    pipeline.add_pipe("words_as_lemmas")
    return pipeline


def _tokenized_as(language: str) -> str:
    """The language itself where spaCy splits its words unaided, else the one for all, xx."""
    from spacy.util import get_lang_class

    try:
        get_lang_class(language)
    except ImportError:
        return "xx"
    return "xx" if language in NO_TOKENIZER else language


def _words_as_lemmas(document: Any) -> Any:
    """Presidio looks for words like "passport" among lemmas, which a blank pipeline has none of."""
    for token in document:
        token.lemma_ = token.lemma_ or token.lower_
    return document


def labels_of(pipeline: Any) -> dict[str, str]:
    """What a pipeline calls the entities it finds → Presidio's name for each, or the same one."""
    finders = [n for n in pipeline.pipe_names if "doc.ents" in pipeline.get_pipe_meta(n).assigns]
    labels = [label for name in finders for label in pipeline.pipe_labels.get(name, ())]
    return {label: entity_of_label().get(label, label) for label in labels}


def entity_of_label() -> dict[str, str]:
    """Labels that are usual in models → Presidio's names of such entities."""
    from presidio_analyzer.nlp_engine import ner_model_configuration

    return ner_model_configuration.MODEL_TO_PRESIDIO_ENTITY_MAPPING


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces that end with a line, or a word, where one ends in their second half."""
    start = 0
    while start < len(text):
        end = start + PIECE_CHARACTERS
        if end < len(text):
            middle = start + PIECE_CHARACTERS // 2
            cuts = (text.rfind(mark, middle, end) + 1 for mark in "\n ")
            end = next((cut for cut in cuts if cut), end)
        yield text[start:end]
        start = end


def _places(text: str, found: Iterable[Any]) -> list[tuple[int, int, str]]:
    """Start, end and entity of what is to be replaced, in the order of the text.

    Of two that overlap, the surer one stays whole, then the longer one; of the other stays what is
    outside, as of one that overlaps a placeholder.
    """
    taken = [match.span() for match in PLACEHOLDER.finditer(text)]
    places = []
    ranked = sorted(found, key=lambda r: (-r.score, r.start - r.end, r.start, r.entity_type))
    for result in ranked:
        start, end = result.start, result.end
        for begun, done in taken:
            if begun < end and start < done:
                start, end = (start, begun) if start < begun else (done, end)
        start += len(text[start:end]) - len(text[start:end].lstrip())
        end -= len(text[start:end]) - len(text[start:end].rstrip())
        if any(character.isalnum() for character in text[start:end]):
            taken.append((start, end))
            places.append((start, end, result.entity_type))
    return sorted(places)
