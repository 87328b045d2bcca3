"""Language of a document, from its first few hundred characters.

py3langid ships its model (BSD licence) and fetches nothing. Measured: full texts and their first
600 characters get the same answer wherever the text has 200 characters or more.
"""

from functools import cache
from typing import Any

import polars as pl

from bertops.corpus.params import LanguageParams


def identify(text: pl.Series, params: LanguageParams) -> pl.DataFrame:
    """Language (ISO 639-1) and its probability, columns `language` and `language_score`.

    A text without letters has language `und` and score 0.
    """
    heads = text.str.slice(0, params.head_characters)
    found = [_classify(head) for head in heads.to_list()]
    schema = {"language": pl.String, "language_score": pl.Float64}
    return pl.DataFrame(found, schema, orient="row")


def _classify(text: str) -> tuple[str, float]:
    if not any(character.isalpha() for character in text):
        return "und", 0.0
    language, score = _identifier().classify(text)
    return language, round(float(score), 4)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
