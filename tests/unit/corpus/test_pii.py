"""Personal data: found and replaced, counted by kind; recall and precision on seeded sets."""

import random
from collections.abc import Callable

import polars as pl
import pytest

from bertops.corpus.params import PiiParams
from bertops.corpus.pii import chinese_identity, iban, luhn, replace_pii


def redacted(text: str) -> str:
    """The text with placeholders."""
    return str(replace_pii(pl.Series("text", [text]), PiiParams())[0][0])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("write to jane.doe+news@mail.example.co.uk.", "write to <EMAIL>."),
        ("call +49 89 1234 5678 now", "call <PHONE> now"),
        ("call (212) 555-0123 or 212-555-0188", "call <PHONE> or <PHONE>"),
        ("手机13812345678，电话010-12345678", "手机<PHONE>，电话<PHONE>"),
        ("from 8.8.8.8 and 2001:4860:4860::8888", "from <IP> and <IP>"),
        ("card 4111 1111 1111 1111 please", "card <CARD> please"),
        ("pay to DE89 3704 0044 0532 0130 00 today", "pay to <IBAN> today"),
        ("pay to GB82WEST12345698765432", "pay to <IBAN>"),
        ("身份证11010519491231002X。", "身份证<NATIONAL_ID>。"),
        ("SSN 219-09-9999", "SSN <NATIONAL_ID>"),
        ("key AKIAIOSFODNN7EXAMPLE here", "key <KEY> here"),
        ("token ghp_" + "a1B2" * 9, "token <KEY>"),
    ],
)
def test_each_kind_is_replaced(before: str, after: str) -> None:
    assert redacted(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "In 1914 there were 12,345 of them, 3.5 % more than in 1913.",
        "Version 1.2.3.4 and 10.0.0.1 and 192.168.1.1 are no addresses of persons.",
        "ISBN 978-3-16-148410-0, pages 100-120, 1999-2004.",
        "The number 4111 1111 1111 1112 has a wrong check digit.",
        "He scored 10-9 10-8 10-10 @ home.",
        "SSN 000-12-3456 and 666-12-3456 are never given out.",
        "At 12:30:45 the ratio was 3:2:1.",
        "110105194912310021 fails its checksum.",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert redacted(text) == text


def test_checksums() -> None:
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert iban("DE89370400440532013000")
    assert not iban("DE89370400440532013001")
    assert chinese_identity("11010519491231002X")
    assert not chinese_identity("110105194912310021")


def test_places_are_counted_by_kind_and_document() -> None:
    texts = pl.Series("text", ["a@b.de and c@d.de", "none", "8.8.8.8"])
    _, counts = replace_pii(texts, PiiParams())
    assert counts == [{"email": 2}, {}, {"ip": 1}]


def test_kinds_that_are_not_asked_for_stay() -> None:
    text, _ = replace_pii(pl.Series("text", ["a@b.de 8.8.8.8"]), PiiParams(kinds=("ip",)))
    assert text[0] == "a@b.de <IP>"


def card(rng: random.Random) -> str:
    digits = [4, *(rng.randrange(10) for _ in range(14))]
    check = next(c for c in range(10) if luhn("".join(map(str, [*digits, c]))))
    plain = "".join(map(str, [*digits, check]))
    return rng.choice([plain, " ".join(plain[i : i + 4] for i in range(0, 16, 4))])


def bank_account(rng: random.Random) -> str:
    body = "".join(str(rng.randrange(10)) for _ in range(18))
    return next(f"DE{n:02d}{body}" for n in range(2, 99) if iban(f"DE{n:02d}{body}"))


def identity(rng: random.Random) -> str:
    start = f"{rng.randrange(110000, 659000)}{rng.randrange(1940, 2010)}{rng.randrange(1, 13):02d}"
    body = f"{start}{rng.randrange(1, 29):02d}{rng.randrange(1000):03d}"
    return next(body + c for c in "0123456789X" if chinese_identity(body + c))


def email(rng: random.Random) -> str:
    name, host = rng.choice(["jo", "an.na", "x_y"]), rng.choice(["mail", "my-firm"])
    return f"{name}{rng.randrange(99)}@{host}.{rng.choice(['de', 'com', 'com.cn'])}"


def phone(rng: random.Random) -> str:
    low, high = rng.randrange(200, 999), rng.randrange(1000, 9999)
    world = f"+{rng.randrange(1, 99)} {low} {high} {rng.randrange(100, 999)}"
    mobile = f"1{rng.randrange(3, 10)}{rng.randrange(10**8, 10**9)}"
    return rng.choice([world, f"({low}) {rng.randrange(200, 999)}-{high}", mobile])


def address(rng: random.Random) -> str:
    parts = [rng.choice([8, 23, 91, 151]), *(rng.randrange(1, 255) for _ in range(3))]
    return ".".join(map(str, parts))


def key(rng: random.Random) -> str:
    return "AKIA" + "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))


SEEDED: dict[str, Callable[[random.Random], str]] = {
    "email": email,
    "phone": phone,
    "ip": address,
    "card": card,
    "iban": bank_account,
    "national_id": identity,
    "key": key,
}

# A sentence that personal data stands in, and one full of other numbers.
CARRIERS = {
    "en": (
        "Please send it to {} before the {}rd of May, order {}.",
        "The year {} had {} days and cost {} pounds.",
    ),
    "zh": ("请在{}之前联系，房间号是{}，订单{}。", "在{}年有{}人，花了{}元。"),
    "de": (
        "Bitte an {} bis zum {}. Mai senden, Auftrag {}.",
        "Im Jahr {} kamen {} Leute für {} Euro.",
    ),
}


@pytest.mark.parametrize("language", CARRIERS)
def test_recall_and_precision_on_a_seeded_set(language: str) -> None:
    rng = random.Random(7)
    with_data, without = CARRIERS[language]
    planted = found = wrong = 0
    for kind, make in SEEDED.items():
        for _ in range(40):
            text = with_data.format(make(rng), rng.randrange(1, 28), rng.randrange(10**5))
            _, (counts,) = replace_pii(pl.Series("text", [text]), PiiParams())
            planted, found = planted + 1, found + (counts.get(kind, 0) == 1)
            wrong += sum(counts.values()) - counts.get(kind, 0)
    for _ in range(200):
        text = without.format(rng.randrange(1800, 2030), rng.randrange(10**6), rng.randrange(10**7))
        _, (counts,) = replace_pii(pl.Series("text", [text]), PiiParams())
        wrong += sum(counts.values())
    assert found / planted >= 0.98
    assert found / (found + wrong) >= 0.98


def test_text_made_to_blow_up_a_pattern_takes_linear_time() -> None:
    hostile = [
        "a." * 200_000 + "@",
        "1-" * 200_000,
        "a:" * 200_000,
        "sk-" + "a-" * 100_000,
        "+1 " * 100_000,
    ]
    replace_pii(pl.Series("text", hostile), PiiParams())
