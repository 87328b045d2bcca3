"""Where words begin in a script that writes no spaces, for masking whole words.

A Chinese character is a token of its own, so the tokenizer does not tell which characters make a
word; a segmenter does. Source: Cui et al. 2021, "Pre-Training with Whole Word Masking for Chinese
BERT", section III.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bertops.extras import require
from bertops.pretraining.params import Segmenter


def continues_word(
    text: str, offsets: Sequence[tuple[int, int]], words: Iterable[str]
) -> NDArray[np.bool_]:
    """Whether each of T tokens continues the word of the token before it.

    Args:
        text: what was tokenized.
        offsets: first character and end of each token in `text`.
        words: runs of characters that are together `text`.

    Returns:
        Shape (T,).
    """
    begins = np.zeros(len(text) + 1, dtype=np.bool_)
    begins[np.cumsum([0, *map(len, words)])] = True
    return ~begins[np.asarray([first for first, _ in offsets], dtype=np.int64)]


def cut_words(text: str, segmenter: Segmenter) -> list[str]:
    """Words of a text, spaces and marks included, so that they join to the text again.

    Raises:
        PackageMissing: the extra `chinese` is not installed.
    """
    require("chinese", "rjieba", reason=f"pretraining.tokenize.segmenter: {segmenter} needs it")
    import rjieba

    return rjieba.cut(text)
