"""Rules for Chinese text, which has no spaces to split words at.

Source: the thresholds that large open Chinese corpora publish (WuDao, CLUECorpus2020): at least
70 % Chinese characters, paragraphs of ten characters, sentences that end.
"""

import numpy as np
import polars as pl

from bertops.corpus.rules.flat import per_document, split_lines
from bertops.corpus.rules.repetition import MULTIPLIER

HAN = r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]"
OTHER_WORD = r"[\w--[\p{Han}]]+"
ENDS = r"[。！？…；：.!?]+[”’」』）)\"']*$"
RUN = 10  # characters of a repeated run


def chinese(text: pl.Series) -> pl.DataFrame:
    """Measures of the Chinese rules, one row a document."""
    han = text.str.count_matches(HAN)
    # A word in another script counts as one: an article on Linux is Chinese for all its names.
    counted = han + text.str.count_matches(OTHER_WORD)
    lines = split_lines(text).filter(pl.col("line").str.contains(r"\S"))
    by_line = per_document(
        lines,
        len(text),
        pl.col("length").mean().alias("paragraph_characters"),
        pl.col("line").str.contains(ENDS).mean().alias("end_punctuation"),
    )
    return by_line.with_columns(
        characters=han,
        chinese_share=han / counted,
        duplicate_ngrams=_repeated_runs(text),
    )


def _repeated_runs(text: pl.Series) -> pl.Series:
    """Share of the runs of 10 characters that stood before in their document."""
    length = text.str.len_chars().to_numpy().astype(np.int64)
    joined = "".join(text.to_list()).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(joined, np.uint32).astype(np.uint64)
    document = np.repeat(np.arange(len(text)), length)
    last = max(len(points) - RUN + 1, 0)
    runs = np.zeros(last, np.uint64)
    for shift in range(RUN):
        runs = (runs + points[shift : shift + last]) * MULTIPLIER
    inside = document[:last] == document[RUN - 1 : RUN - 1 + last]
    found = pl.DataFrame({"document": document[:last][inside], "run": runs[inside]})
    again = ~found.select(pl.struct("document", "run").is_first_distinct()).to_series().to_numpy()
    repeated = np.bincount(found["document"].to_numpy()[again], minlength=len(text))
    return pl.Series(repeated / np.maximum(length - RUN + 1, 1))
