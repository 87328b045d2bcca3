"""Presidio, the second search for personal data: what it finds, what it leaves, what it refuses."""

import importlib.util
import json
import random
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pytest

from bertops.corpus.judge import judge_batch
from bertops.corpus.params import CorpusParams, LanguageParams, PiiParams, PresidioParams
from bertops.corpus.pii import luhn, replace_pii
from bertops.corpus.presidio import PIECE_CHARACTERS, recognizers, replace_entities
from bertops.corpus.presidio_check import CannotFind, prepare
from bertops.corpus.tables import RAW
from bertops.extras import PackageMissing
from tests.unit.corpus.test_clean import ALL_TRAIN, params_of, prose, run

installed = importlib.util.find_spec("presidio_analyzer") is not None
needs_presidio = pytest.mark.skipif(not installed, reason="the extra presidio is not installed")


def redacted(
    text: str, *entities: str, language: str = "en", models: Mapping[str, str | None] | None = None
) -> tuple[str, dict[str, int]]:
    """The text with placeholders, and how many of each kind."""
    params = PresidioParams(entities=entities, models=dict(models or {}))
    texts, (counts,) = replace_entities(pl.Series([text]), pl.Series([language]), params)
    return texts[0], counts


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a spaCy model that knows two persons and a town by heart."""
    spacy = pytest.importorskip("spacy")
    model = spacy.blank("en")
    known = {"Jane Smith": "PERSON", "Bob <EMAIL>": "PERSON", "Leeds": "GPE", "Acme": "ORG"}
    model.add_pipe("entity_ruler").add_patterns(
        [{"label": label, "pattern": name} for name, label in known.items()]
    )
    folder = tmp_path_factory.mktemp("model")
    model.to_disk(folder)
    return str(folder)


def asking(
    models: dict[str, str | None] | None = None, *entities: str, **more: object
) -> CorpusParams:
    pii = PiiParams(presidio=PresidioParams(entities=entities, models=models or {}))
    return params_of(pii=pii, **more)


# What follows makes identifiers by the rules of those who issue them, not by Presidio's code.


def health_number(rng: random.Random) -> str:
    """NHS number: weights 10 to 2, modulo 11."""
    while True:
        digits = [rng.randrange(10) for _ in range(9)]
        check = 11 - sum(d * w for d, w in zip(digits, range(10, 1, -1), strict=True)) % 11
        if check != 10:
            plain = "".join(map(str, [*digits, check % 11]))
            return rng.choice([plain, f"{plain[:3]} {plain[3:6]} {plain[6:]}"])


def spanish(rng: random.Random) -> str:
    """DNI: the letter is the number modulo 23."""
    number = rng.randrange(10**7, 10**8)
    return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


def polish(rng: random.Random) -> str:
    """PESEL: a date of birth and five digits; weights 1 3 7 9, modulo 10."""
    born = f"{rng.randrange(40, 100)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    body = f"{born}{rng.randrange(10**4):04d}"
    total = sum(int(d) * w for d, w in zip(body, (1, 3, 7, 9) * 2 + (1, 3), strict=True))
    return f"{body}{-total % 10}"


def swedish(rng: random.Random) -> str:
    """Personnummer: a date of birth and four digits, the last by Luhn."""
    born = f"{rng.randrange(40, 100)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    body = f"{born}{rng.randrange(1, 1000):03d}"
    check = next(c for c in "0123456789" if luhn(body + c))
    return f"{born}-{body[6:]}{check}"


def german(rng: random.Random) -> str:
    """Tax number: one of ten digits stands twice; ISO 7064 MOD 11,10."""
    digits = rng.sample("123456789", 9)
    body = [*digits[:4], digits[0], *digits[4:]]
    product = 10
    for digit in body:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return "".join(body) + str((11 - product) % 10)


# Language → entity, how one is made, a sentence that one stands in.
SEEDED: dict[str, tuple[str, Callable[[random.Random], str], str]] = {
    "en": ("UK_NHS", health_number, "The patient with number {} came on day {} of the month."),
    "es": ("ES_NIF", spanish, "El cliente con el número {} llegó el día {} del mes."),
    "pl": ("PL_PESEL", polish, "Pacjent o numerze {} przyszedł dnia {} tego miesiąca."),
    "sv": ("SE_PERSONNUMMER", swedish, "Kunden med nummer {} kom dag {} i månaden."),
    "de": ("DE_TAX_ID", german, "Der Kunde mit der Nummer {} kam am {}. des Monats."),
}


def wrong(identifier: str) -> str:
    """The same with another check character."""
    last = identifier[-1]
    swapped = chr((ord(last) - 64) % 26 + 65) if last.isalpha() else str((int(last) + 1) % 10)
    return identifier[:-1] + swapped


@needs_presidio
@pytest.mark.parametrize("language", SEEDED)
def test_recall_and_precision_on_a_seeded_set(language: str) -> None:
    rng = random.Random(7)
    entity, make, carrier = SEEDED[language]
    others = tuple(other for other, _, _ in SEEDED.values())
    planted = found = false = 0
    for _ in range(60):
        identifier, day = make(rng), rng.randrange(1, 29)
        text, counts = redacted(carrier.format(identifier, day), *others, language=language)
        planted, found = planted + 1, found + (text == carrier.format(f"<{entity}>", day))
        false += sum(counts.values()) - counts.get(entity.lower(), 0)
        for number in (wrong(identifier), rng.randrange(1800, 2030), f"{rng.random() * 1e5:,.2f}"):
            _, counts = redacted(carrier.format(number, day), *others, language=language)
            false += sum(counts.values())
    assert found / planted >= 0.98
    assert found / (found + false) >= 0.98


@needs_presidio
def test_a_word_beside_it_speaks_for_an_identifier_without_a_check_digit() -> None:
    assert redacted("Her passport: 912803456.", "US_PASSPORT")[0] == "Her passport: <US_PASSPORT>."
    assert redacted("The sum: 912803456.", "US_PASSPORT")[1] == {}


@needs_presidio
def test_names_come_from_the_model_that_is_named(names: str) -> None:
    text = "Jane Smith of Acme lived in Leeds."
    models = {"en": names}
    assert redacted(text, "PERSON", "LOCATION", models=models) == (
        "<PERSON> of Acme lived in <LOCATION>.",
        {"location": 1, "person": 1},
    )
    assert redacted(text, "ORGANIZATION", models=models)[1] == {"organization": 1}
    assert redacted(text, "PERSON", models=models, language="de") == (text, {})


@needs_presidio
def test_placeholders_stay_whatever_stands_around_them(names: str) -> None:
    text = "Bob <EMAIL> and Jane Smith <UK_NHS> <PERSON> 943 476 5919"
    asked = ("PERSON", "UK_NHS", "EMAIL_ADDRESS", "URL", "PHONE_NUMBER")
    once, counts = redacted(text, *asked, models={"en": names})
    assert once == "<PERSON> <EMAIL> and <PERSON> <UK_NHS> <PERSON> <UK_NHS>"
    assert counts == {"person": 2, "uk_nhs": 1}
    assert redacted(once, *asked, models={"en": names}) == (once, {})


@needs_presidio
def test_what_both_searches_know_has_one_placeholder() -> None:
    text, counts = redacted("call 020 7946 0958, IP 8.8.8.8", "PHONE_NUMBER", "IP_ADDRESS")
    assert text == "call <PHONE>, IP <IP>"
    assert counts == {"phone": 1, "ip": 1}


@needs_presidio
def test_languages_that_nothing_is_known_of_stay_as_they_are() -> None:
    text = "12345678Z"
    assert redacted(text, "ES_NIF", language="es")[0] == "<ES_NIF>"
    assert redacted(text, "ES_NIF", language="en") == (text, {})
    for language in ("und", "th", "ja", "zz"):
        known = redacted("00:1B:44:11:3A:B7", "MAC_ADDRESS", "ES_NIF", language=language)
        assert known == ("<MAC_ADDRESS>", {"mac_address": 1})


@needs_presidio
def test_long_texts_are_read_to_their_end() -> None:
    line = "nothing to see here\n"
    filler = line * (2 * PIECE_CHARACTERS // len(line))
    text, counts = redacted(f"943 476 5919\n{filler}943 476 5919", "UK_NHS")
    assert counts == {"uk_nhs": 2}
    assert text == f"<UK_NHS>\n{filler}<UK_NHS>"
    unbroken = "字" * (2 * PIECE_CHARACTERS + 7)
    assert redacted(unbroken, "UK_NHS", "MAC_ADDRESS", language="zh") == (unbroken, {})


@needs_presidio
def test_nothing_is_asked_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        asked.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    recognizers.cache_clear()  # a list of suffixes that no earlier test has read
    text, _ = redacted("write to a@b.co.uk or to a@b.nosuchsuffix", "EMAIL_ADDRESS")
    assert text == "write to <EMAIL> or to a@b.nosuchsuffix"
    assert asked == []


@needs_presidio
def test_the_corpus_is_cleaned_by_both_and_the_shards_change_nothing(tmp_path: Path) -> None:
    seen = [f"{prose(i)} Her NHS number is 943 476 5919, mail a{i}@b.de." for i in range(6)]
    params = asking(None, "UK_NHS", "EMAIL_ADDRESS")
    whole = run(tmp_path / "whole", {"s": seen}, params)
    assert whole.report.kept == 6
    assert all(t.endswith("number is <UK_NHS>, mail <EMAIL>.") for t in whole.train["text"])
    assert whole.report.edits["pii.uk_nhs"] == whole.report.edits["pii.email"] == 6
    assert run(tmp_path / "cut", {"s": seen}, params, shard=2).hashes == whole.hashes


def test_it_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text = "NHS number 943 476 5919, a@b.de"
    row = {"doc_id": "d", "source": "s", "file": "f", "row": 0, "text": text}
    params = params_of()
    assert prepare(params) == {}
    kept = judge_batch(pl.DataFrame([row], RAW), params.sources[0], params, ALL_TRAIN).kept
    ours, counts = replace_pii(pl.Series([text]), PiiParams())
    assert kept["text"][0] == ours[0] == "NHS number 943 476 5919, <EMAIL>"
    assert json.loads(kept["edits"][0]) == {f"pii.{kind}": n for kind, n in counts[0].items()}
    switched_off = PiiParams(enabled=False, presidio=PresidioParams(entities=("UK_NHS",)))
    assert prepare(params_of(pii=switched_off)) == {}


def test_a_missing_extra_is_named_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    recognizers.cache_clear()
    with pytest.raises(PackageMissing, match=r"'presidio_analyzer'.*\[presidio\]"):
        run(tmp_path, {"s": ["a text"]}, asking(None, "UK_NHS"))


@needs_presidio
def test_all_that_cannot_be_found_is_told_at_once() -> None:
    with pytest.raises(CannotFind) as caught:
        prepare(asking(None, "UK_NSH", "person", "PERSON", "UK_NHS"))
    problems = caught.value.problems
    assert problems["UK_NSH"] == "unknown; did you mean 'UK_NHS'?"
    assert problems["person"] == "unknown; did you mean 'PERSON'?"
    assert "needs a spaCy model" in problems["PERSON"]
    assert "UK_NHS" not in problems


@needs_presidio
def test_languages_that_are_kept_need_a_model_or_a_word_that_they_have_none(names: str) -> None:
    both = LanguageParams(keep=("en", "de"))
    with pytest.raises(CannotFind, match=r"PERSON +no model finds it in de: .*de: null"):
        prepare(asking({"en": names}, "PERSON", language=both))
    prepare(asking({"en": names, "de": None}, "PERSON", language=both))
    prepare(asking({"en": None}, "UK_NHS", language=LanguageParams(keep=("en",))))
    with pytest.raises(CannotFind, match=r"ES_NIF +is sought in documents of language es"):
        prepare(asking(None, "ES_NIF", language=both))
    prepare(asking(None, "ES_NIF", language=LanguageParams(keep=())))


@needs_presidio
def test_a_model_that_is_not_there_is_named_and_not_downloaded() -> None:
    with pytest.raises(PackageMissing, match=r"'no_such_model'.*spacy download no_such_model"):
        prepare(asking({"en": "no_such_model"}, "PERSON"))


@needs_presidio
def test_another_model_under_the_same_name_makes_the_shards_anew(names: str) -> None:
    params = asking({"en": names}, "PERSON")
    before = prepare(params)
    assert prepare(params) == before
    (Path(names) / "notes.txt").write_text("retrained")
    assert prepare(params) != before
