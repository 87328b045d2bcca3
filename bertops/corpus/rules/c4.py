"""C4 rules. Source: Raffel et al. 2020, section 2.2; details as in datatrove."""

import polars as pl

from bertops.corpus.params import C4Params
from bertops.corpus.rules.flat import per_document, split_lines
from bertops.corpus.rules.marks import SENTENCE_END

CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"
POLICY = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


def c4(text: pl.Series, params: C4Params) -> tuple[pl.DataFrame, pl.Series]:
    """Measures of the C4 rules, one row a document, and the texts of the lines that pass.

    A line passes when it ends a sentence, has enough words and none overlong, and speaks neither
    of JavaScript nor of cookies. Citation marks of Wikipedia are no part of it.
    """
    lines = _judged(text, params)
    counted = per_document(
        lines,
        len(text),
        pl.col("sentences").filter("passes").sum().alias("sentences"),
        (pl.col("lorem") & pl.col("whole")).any().cast(pl.Int64).alias("lorem_ipsum"),
        (pl.col("bracket") & pl.col("reaches_bracket")).any().cast(pl.Int64).alias("curly_bracket"),
        pl.col("line").filter("passes").str.join("\n").alias("passing"),
    )
    passing = counted["passing"].fill_null("").str.strip_chars()
    return counted.drop("passing"), passing


def _judged(text: pl.Series, params: C4Params) -> pl.DataFrame:
    """One row for each line, with what is said about it."""
    line, lower = pl.col("line"), pl.col("line").str.to_lowercase()
    ends = line.str.contains("[.?!\"']$") & ~line.str.ends_with("...")
    overlong = r"\S{" + str(params.max_word_length + 1) + "}"
    return (
        split_lines(text)
        .select("document", line.str.strip_chars())
        .with_columns(
            # counted before citations go, which are words to the reference
            words=line.str.count_matches(r"\S+"),
            overlong=line.str.len_bytes().gt(params.max_word_length) & line.str.contains(overlong),
            line=line.str.replace_all(CITATION, ""),
        )
        .with_columns(
            whole=~pl.col("overlong")
            & (ends if params.require_end_punctuation else pl.lit(True))
            & (pl.col("words") >= params.min_words_per_line),
            lorem=lower.str.contains("lorem ipsum", literal=True),
            script=lower.str.contains("javascript", literal=True),
            policy=lower.str.contains_any(list(POLICY)),
            bracket=line.str.contains("{", literal=True),
            sentences=_sentences(line),
        )
        .with_columns(reaches_bracket=pl.col("whole") & ~pl.col("script"))
        .with_columns(passes=pl.col("reaches_bracket") & ~pl.col("policy"))
    )


def _sentences(line: pl.Expr) -> pl.Expr:
    """Sentences in a line; what follows the last end mark is one more."""
    rest = line.str.contains(r"[\w]\W*$") & ~line.str.contains(f"(?:{SENTENCE_END})$")
    return line.str.count_matches(SENTENCE_END) + rest.cast(pl.UInt32)
