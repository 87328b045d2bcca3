"""Rules for Chinese text, which has no spaces to split words at.

Source: the thresholds that large open Chinese corpora publish (WuDao, CLUECorpus2020): at least
70 % Chinese characters, paragraphs of ten characters, sentences that end.
"""

import polars as pl

from bertops.corpus.rules.flat import per_document, split_lines

HAN = r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]"
MARK_OR_SPACE = r"[\s\p{P}\p{S}]"
ENDS = r"[。！？…；：.!?]+[”’」』）)\"']*$"
RUN = 10  # characters of a repeated run


def chinese(text: pl.Series) -> pl.DataFrame:
    """Measures of the Chinese rules, one row a document."""
    characters = text.str.len_chars()
    han = text.str.count_matches(HAN)
    counted = characters - text.str.count_matches(MARK_OR_SPACE)
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
    """Share of 10-character runs, one at every tenth character, that stood before in the text.

    Runs start anywhere in the text that is compared with, so a shifted copy counts as well.
    """
    shares = [_repeated_run_share(value) for value in text.to_list()]
    return pl.Series("duplicate_ngrams", shares, dtype=pl.Float64)


def _repeated_run_share(text: str) -> float:
    total = len(text) - RUN + 1
    if total <= 0:
        return 0.0
    return 1 - len({text[i : i + RUN] for i in range(total)}) / total
