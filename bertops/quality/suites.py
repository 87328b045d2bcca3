"""What must hold for raw documents, the corpus and the tables of tasks."""

from collections.abc import Iterator, Sequence
from typing import Any

from bertops.quality.gate import Check
from bertops.quality.params import QualityParams

DOCUMENT_ID = "^[0-9a-f]{32}$"

BETWEEN = "ExpectColumnValuesToBeBetween"
IN_SET = "ExpectColumnValuesToBeInSet"
NOT_NULL = "ExpectColumnValuesToNotBeNull"
REGEX = "ExpectColumnValuesToMatchRegex"
UNIQUE = "ExpectColumnValuesToBeUnique"
UNIQUE_TOGETHER = "ExpectCompoundColumnsToBeUnique"

INGEST_AGAIN = "The table is damaged: run ingest again."
CLEAN_AGAIN = "The table is damaged: run clean again."
COPIES = "Exact copies are left: switch corpus.dedup.exact on."


def raw_checks(params: QualityParams) -> list[Check]:
    """Checks on the tables `documents`, `sources` and `files` of raw text."""
    check = _checks_of("raw")
    return [
        check("documents", "id_is_there", REGEX, INGEST_AGAIN, column="doc_id", regex=DOCUMENT_ID),
        check("documents", "file_is_known", NOT_NULL, INGEST_AGAIN, column="file"),
        check(
            "documents",
            "row_is_read_once",
            UNIQUE_TOGETHER,
            "Two files of a source have one name, or a source names a file twice.",
            column_list=["source", "file", "row"],
        ),
        check(
            "documents",
            "text_is_not_blank",
            BETWEEN,
            "Check text_column and where; limit: max_empty_share.",
            column="letters",
            min_value=1,
            mostly=1 - params.max_empty_share,
        ),
        check(
            "documents",
            "text_is_seen_once",
            BETWEEN,
            "Is a file there twice? Limit: max_raw_duplicate_share.",
            column="seen_before",
            max_value=0,
            mostly=1 - params.max_raw_duplicate_share,
        ),
        check(
            "sources",
            "has_documents",
            BETWEEN,
            "Check path and where of the source; limit: min_raw_documents.",
            column="documents",
            min_value=params.min_raw_documents,
        ),
        check(
            "sources",
            "is_readable",
            BETWEEN,
            "data/quarantine tells why; limit: max_quarantined_share.",
            column="quarantined_share",
            max_value=params.max_quarantined_share,
        ),
        check(
            "files",
            "adds_up",
            BETWEEN,
            "Rows were lost in reading: run ingest again and report it.",
            column="unaccounted",
            min_value=0,
            max_value=0,
        ),
    ]


def corpus_checks(params: QualityParams) -> list[Check]:
    """Checks on the tables `documents`, `files`, `rules`, `distributions` and `figures` of
    the cleaned corpus."""
    check = _checks_of("corpus")
    return [
        check("documents", "id_is_unique", UNIQUE, COPIES, column="doc_id"),
        check("documents", "text_is_unique", UNIQUE, COPIES, column="text_hash"),
        check("documents", "text_is_there", BETWEEN, CLEAN_AGAIN, column="characters", min_value=1),
        check("documents", "language_is_named", NOT_NULL, CLEAN_AGAIN, column="language"),
        check(
            "documents",
            "split_is_decided",
            IN_SET,
            CLEAN_AGAIN,
            column="split",
            value_set=["train", "validation"],
        ),
        check(
            "files",
            "adds_up",
            BETWEEN,
            "Documents were lost: run clean again and report it.",
            column="unaccounted",
            min_value=0,
            max_value=0,
        ),
        check(
            "rules",
            "drops_within_limit",
            BETWEEN,
            "Read its drops in data/ledger, then change the rule or max_drop_share.",
            column="over_limit",
            max_value=0,
        ),
        check(
            "distributions",
            "as_expected",
            BETWEEN,
            "See reports/data_card/card.md; limits: word_quantiles, language_shares.",
            column="outside",
            max_value=0,
        ),
        *_figures(check, params),
    ]


def _figures(check: Any, params: QualityParams) -> Iterator[Check]:
    yield check(
        "figures",
        "enough_training_documents",
        BETWEEN,
        "Add text, or loosen what drops most; limit: min_corpus_documents.",
        column="train_documents",
        min_value=params.min_corpus_documents,
    )
    yield check(
        "figures",
        "enough_is_kept",
        BETWEEN,
        "Loosen what drops most (reports/clean.json); limit: min_kept_share.",
        column="kept_share",
        min_value=params.min_kept_share,
    )
    yield check(
        "figures",
        "documents_have_words",
        BETWEEN,
        "Check text_column; limit: min_words_median.",
        column="words_median",
        min_value=params.min_words_median,
    )


def task_checks(params: QualityParams, name: str, labels: Sequence[str]) -> list[Check]:
    """Checks on the tables `rows` and `splits` of one task; labels are checked where it has any."""
    check = _checks_of(f"task.{name}")
    found = [
        check(
            "rows",
            "id_is_there",
            REGEX,
            "Run task_data again.",
            column="document_id",
            regex=DOCUMENT_ID,
        ),
        check(
            "rows",
            "text_is_not_blank",
            BETWEEN,
            "Remove the rows without text from the file.",
            column="characters",
            min_value=1,
        ),
        check(
            "rows",
            "label_is_there",
            NOT_NULL,
            "Remove the rows without a label from the file.",
            column="label",
        ),
        check(
            "rows",
            "split_is_the_only_one",
            BETWEEN,
            "Remove the text from one of the two splits.",
            column="other_splits",
            max_value=0,
        ),
        check(
            "splits",
            "has_rows",
            BETWEEN,
            "Add labelled rows; limit: min_task_rows.",
            column="rows",
            min_value=params.min_task_rows,
        ),
    ]
    if labels:
        found += [
            check(
                "rows",
                "label_is_declared",
                IN_SET,
                "Declare it under labels of the task, or correct the file.",
                column="label",
                value_set=list(labels),
            ),
            check(
                "splits",
                "has_more_than_one_label",
                BETWEEN,
                "Add rows of other labels; limit: max_label_share.",
                column="commonest_label_share",
                max_value=params.max_label_share,
            ),
        ]
    return found


def _checks_of(gate: str) -> Any:
    """A maker of checks whose rules begin with the name of the gate and of the table."""

    def make(table: str, name: str, expectation: str, remedy: str, **arguments: Any) -> Check:
        return Check(f"{gate}.{table}.{name}", table, expectation, arguments, remedy)

    return make
