"""Personal data → placeholders like `<EMAIL>`, counted by kind.

Each kind has a cheap test that picks the documents worth a search, a pattern, and where the kind
has one, a checksum. Numbers that fail their checksum stay: prose is full of numbers. Patterns look
around for ASCII letters alone: in Chinese, words stand right beside what is sought.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import polars as pl

from bertops.corpus.params import PiiKind, PiiParams


@dataclass(frozen=True)
class Detector:
    """One kind of personal data."""

    kind: PiiKind
    hint: str
    """Rust regular expression; a document without a match holds none of this kind."""
    pattern: re.Pattern[str]
    valid: Callable[[str], bool] = lambda found: True


def luhn(digits: str) -> bool:
    """Check digit of payment cards. Source: ISO/IEC 7812-1, annex B."""
    values = [int(c) for c in digits if c.isdigit()]
    doubled = [sum(divmod(2 * v, 10)) if i % 2 else v for i, v in enumerate(reversed(values))]
    return sum(doubled) % 10 == 0


def _card(found: str) -> bool:
    digits = re.sub(r"\D", "", found)
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and luhn(digits)


def iban(found: str) -> bool:
    """Check digits of a bank account number. Source: ISO 13616, modulo 97."""
    compact = re.sub(r"\s", "", found).upper()
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def chinese_identity(found: str) -> bool:
    """Check character of the Chinese identity card. Source: GB 11643-1999, ISO 7064 MOD 11-2."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(c) * w for c, w in zip(found[:17], weights, strict=True))
    return "10X98765432"[total % 11] == found[17].upper()


def _national(found: str) -> bool:
    return (
        chinese_identity(found) if len(found) == 18 else not found.startswith(("000", "666", "9"))
    )


def _public_ip(found: str) -> bool:
    try:
        return ip_address(found).is_global
    except ValueError:
        return False


def _phone(found: str) -> bool:
    return 7 <= sum(c.isdigit() for c in found) <= 15


DETECTORS = (
    Detector(
        "email",
        "@",
        re.compile(
            r"(?<![A-Za-z0-9_.+-])[A-Za-z0-9_.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
            r"(?![A-Za-z0-9])"
        ),
    ),
    Detector(
        "key",
        r"AKIA|ASIA|gh[pousr]_|github_pat_|sk-|xox[abprs]-|AIza|eyJ|-----BEGIN",
        re.compile(
            r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,255}"
            r"|github_pat_\w{22,255}|sk-(?:[a-z]+-)*[A-Za-z0-9_-]{20,200}"
            r"|xox[abprs]-[A-Za-z0-9-]{10,200}|AIza[\w-]{35}"
            r"|eyJ[\w-]{10,2000}\.eyJ[\w-]{10,2000}\.[\w-]{10,2000})"
            r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^-]{0,8000}-----END [A-Z ]{0,20}KEY-----"
        ),
    ),
    Detector(
        "iban",
        r"[A-Z]{2}\d{2}",
        re.compile(
            r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?"
            r"(?![A-Za-z0-9])"
        ),
        iban,
    ),
    Detector(
        "national_id",
        r"\d{17}[\dXx]|\d{3}-\d{2}-\d{4}",
        re.compile(
            r"(?<!\d)[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]"
            r"(?!\d)|(?<![\d-])\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])"
        ),
        _national,
    ),
    Detector(
        "card",
        r"\d[\d -]{11,}\d",
        re.compile(r"(?<![\d-])[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\d-])"),
        _card,
    ),
    Detector(
        "ip",
        r"\d\.\d{1,3}\.\d{1,3}\.\d|[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}:",
        re.compile(
            r"(?<![\d.vV])(?<!ersion )(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"
            r"|(?<![A-Za-z0-9:])(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){1,7}(?![A-Za-z0-9:])"
        ),
        _public_ip,
    ),
    Detector(
        "phone",
        r"\d{3}[\d ()./-]{3,}\d|\+\d",
        re.compile(
            r"(?<![\d.+-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){1,4}"
            r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4}|0\d{2,3}-\d{7,8}|1[3-9]\d{9})"
            r"(?![\d-])"
        ),
        _phone,
    ),
)


def replace_pii(text: pl.Series, params: PiiParams) -> tuple[pl.Series, list[dict[str, int]]]:
    """Replace personal data in the texts of a batch.

    Returns:
        The texts, and for each how many places were replaced, by kind.
    """
    counts: list[dict[str, int]] = [{} for _ in range(len(text))]
    if not params.enabled:
        return text, counts
    for detector in (d for d in DETECTORS if d.kind in params.kinds):
        suspects = text.str.contains(detector.hint).arg_true()
        if not len(suspects):
            continue
        replaced = [redact(value, detector) for value in text.gather(suspects).to_list()]
        text = text.scatter(suspects, [value for value, _ in replaced])
        for document, (_, count) in zip(suspects.to_list(), replaced, strict=True):
            if count:
                counts[document][detector.kind] = count
    return text, counts


def redact(text: str, detector: Detector) -> tuple[str, int]:
    """`text` with every valid match replaced by `<KIND>`, and their number."""
    count = 0

    def replacement(match: re.Match[str]) -> str:
        nonlocal count
        if not detector.valid(match[0]):
            return match[0]
        count += 1
        return f"<{detector.kind.upper()}>"

    return detector.pattern.sub(replacement, text), count


def total(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    """Sum of counts by kind, kinds sorted."""
    summed: Counter[str] = Counter()
    for one in counts:
        summed.update(one)
    return dict(sorted(summed.items()))
