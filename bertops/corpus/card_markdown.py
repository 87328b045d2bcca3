"""The data card as Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from bertops.corpus.card import DataCard
from bertops.corpus.report import RuleCount


def to_markdown(card: DataCard) -> str:
    """The card as a page that can be read in a terminal or on a forge."""
    sections = (_summary, _rules, _near_misses, _copies, _edits, _contamination, _lengths)
    return "\n".join(line for section in sections for line in section(card)).rstrip() + "\n"


def _summary(card: DataCard) -> Iterator[str]:
    report = card.report
    aside = report.dropped.get("split.test", 0)
    yield "# Data card\n"
    yield (
        f"{report.read:,} documents were read and {report.kept:,} kept: "
        f"{report.kept_by_split['train']:,} for training "
        f"({report.words_by_split['train']:,} words), "
        f"{report.kept_by_split['validation']:,} for validation. "
        f"{aside:,} were set aside for tests and {report.read - report.kept - aside:,} dropped.\n"
    )
    rows = [
        (
            source,
            f"{sum(counts.values()):,}",
            f"{counts.get('kept', 0):,}",
            card.licences.get(source) or "not stated",
        )
        for source, counts in report.by_source.items()
    ]
    yield from _table(("source", "read", "kept", "licence"), rows)
    yield "Languages kept: " + ", ".join(f"{k} {n:,}" for k, n in card.languages.items()) + "\n"


def _rules(card: DataCard) -> Iterator[str]:
    yield "## What was dropped, and why\n"
    yield (
        "*First* counts the documents that a rule dropped before any other, and adds up to all "
        "dropped; *any* those that failed it; *sole* those that failed nothing else and would come "
        "back without it. `bertops corpus explain ID` tells the whole story of a document.\n"
    )
    rows = [
        (f"`{rule}`", *_counted(count), card.meanings.get(rule, ""))
        for rule, count in card.report.rules.items()
        if count.step != "split"
    ]
    counted = ("first", "any", "sole", "first, bytes", "any, bytes", "sole, bytes")
    heads = ("rule", *counted, "a document passes with")
    yield from _table(heads, rows)
    for rule, examples in card.examples.items():
        yield f"### `{rule}`\n"
        if rule in card.meanings:
            yield f"A document passes with {card.meanings[rule]}.\n"
        for e in examples:
            told = "" if e.value is None else f" value {e.value:g}, limit {e.threshold:g}"
            detail = f" ({e.detail})" if e.detail else ""
            yield f"- `{e.doc_id}` {e.place}{told}{detail}: {_safe(e.excerpt)}"
        yield ""


def _counted(count: RuleCount) -> list[str]:
    documents = (count.first_documents, count.any_documents, count.sole_documents)
    sizes = (count.first_bytes, count.any_bytes, count.sole_bytes)
    return [f"{number:,}" for number in (*documents, *sizes)]


def _near_misses(card: DataCard) -> Iterator[str]:
    if not card.near_misses:
        return
    yield "## Near the thresholds\n"
    yield (
        "What a rule just kept and just dropped. Where the dropped reads as well as the kept, the "
        "limit is too strict; where the kept reads as badly, too lax.\n"
    )
    for rule, miss in card.near_misses.items():
        yield f"### `{rule}`: {card.meanings.get(rule, f'limit {miss.threshold:g}')}\n"
        for side, documents in (("kept", miss.kept), ("dropped", miss.dropped)):
            for one in documents:
                yield f"- {side} at {one.value:g}, `{one.doc_id}`: {_safe(one.excerpt)}"
        yield ""


def _copies(card: DataCard) -> Iterator[str]:
    if not card.copies:
        return
    yield "## Copies side by side\n"
    rows = []
    for c in card.copies:
        stays, goes = (
            f"`{c.kept}` {_safe(c.kept_excerpt)}",
            f"`{c.dropped}` {_safe(c.dropped_excerpt)}",
        )
        rows.append((f"`{c.rule}` {c.similarity:g}", stays, goes))
    yield from _table(("rule", "stays", "dropped"), rows)


def _edits(card: DataCard) -> Iterator[str]:
    yield "## Repairs and personal data in what was kept\n"
    yield from _table(("edit", "times"), [(k, f"{n:,}") for k, n in card.report.edits.items()])


def _contamination(card: DataCard) -> Iterator[str]:
    yield "## Training documents dropped for evaluation texts\n"
    yield (
        "They share a long run of words with a text that a model is measured on, or nearly are "
        "one. A document counts for one set, though it may overlap several.\n"
    )
    rows = [(name, f"{n:,}") for name, n in card.report.contamination.items()]
    yield from _table(("evaluation set", "documents dropped"), rows)


def _lengths(card: DataCard) -> Iterator[str]:
    yield "## Words in a document\n"
    for name, bins in card.words.items():
        most = max(bins.values())
        yield f"### {name}\n\n```"
        for label, documents in bins.items():
            yield f"{label:>16}  {documents:>9,}  {'█' * max(1, round(40 * documents / most))}"
        yield "```\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rows = list(rows)
    if not rows:
        yield "None.\n"
        return
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _safe(text: str) -> str:
    """Text of a document inside a page of ours: no markup of its own."""
    for character in "\\`*_[]<>|#":
        text = text.replace(character, "\\" + character)
    return text
