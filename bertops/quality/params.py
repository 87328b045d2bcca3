"""Limits that raw, cleaned and task data must keep; outside them the pipeline stops."""

from typing import Annotated

from pydantic import Field

from bertops.section import Section

Quantile = Annotated[float, Field(ge=0, le=1)]


class QualityParams(Section):
    """Thresholds of the Great Expectations suites."""

    min_raw_documents: int = Field(1, ge=1, description="Documents a source has, at least.")
    max_quarantined_share: float = Field(
        0.05, ge=0, le=1, description="Share of a source's rows that could not be read."
    )
    max_empty_share: float = Field(0.05, ge=0, le=1, description="Share of raw texts of blanks.")
    max_raw_duplicate_share: float = Field(
        0.5, ge=0, le=1, description="Share of raw documents whose text was seen before."
    )
    min_kept_share: float = Field(
        0.05, ge=0, le=1, description="Share of the training documents that cleaning keeps."
    )
    max_drop_share: dict[str, float] = Field(
        default_factory=dict,
        description="For a step or `step.rule`, most of the documents that it may drop (share).",
    )
    min_words_median: int = Field(5, ge=0, description="Median words of a cleaned document.")
    word_quantiles: dict[Quantile, tuple[int, int]] = Field(
        default_factory=dict,
        description="Quantile → least and most words of the cleaned document that stands there.",
    )
    language_shares: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="Language → least and most share of the cleaned documents; 0 when none is.",
    )
    min_corpus_documents: int = Field(10, ge=1, description="Training documents, at least.")
    min_task_rows: int = Field(10, ge=1, description="Rows of each split of a task, at least.")
    max_label_share: float = Field(
        0.99, gt=0, le=1, description="Share of the commonest label in a split of a task."
    )
