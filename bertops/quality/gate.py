"""Great Expectations behind our own types: checks in, outcomes out, Data Docs on the side.

The context lives in memory and nothing is configured in files. Importing Great Expectations takes
5 s, so it is imported by the function that needs it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from bertops.errors import GateRefused
from bertops.storage import remove

EXAMPLES = 3


@dataclass(frozen=True)
class Check:
    """One expectation on one table."""

    rule: str
    """Name that a person can search for, e.g. `raw.documents.text_is_not_empty`."""
    table: str
    expectation: str
    """Class name in `great_expectations.expectations`."""
    arguments: Mapping[str, Any]
    remedy: str
    """What to do when it fails."""


@dataclass(frozen=True)
class Outcome:
    """What became of one check."""

    rule: str
    passed: bool
    rows: int
    """Rows of the table."""
    failed_rows: int
    """Rows that break the rule; 0 where the rule is about the table as a whole."""
    examples: tuple[dict[str, Any], ...] = ()
    remedy: str = ""


@dataclass(frozen=True)
class QualityReport:
    """All outcomes of one gate, and the figures that it looked at."""

    gate: str
    passed: bool
    outcomes: tuple[Outcome, ...]
    figures: dict[str, Any] = field(default_factory=dict)


class QualityFailed(GateRefused):
    """Data broke at least one rule; nothing after it may use the data."""

    def __init__(self, report: QualityReport, docs: Path) -> None:
        self.report, self.docs = report, docs
        self.failed = tuple(outcome for outcome in report.outcomes if not outcome.passed)
        told = "\n".join(_tell(outcome) for outcome in self.failed)
        super().__init__(
            f"{report.gate}: {len(self.failed)} of {len(report.outcomes)} rules failed\n{told}\n"
            f"Limits are under `quality` in params.yaml; details: {docs / 'index.html'}"
        )


def _tell(outcome: Outcome) -> str:
    count = f"{outcome.failed_rows:,} of {outcome.rows:,} rows" if outcome.failed_rows else "table"
    examples = "".join(f"\n    {_short(example)}" for example in outcome.examples)
    return f"  {outcome.rule}: {count}{examples}\n    {outcome.remedy}"


def _short(example: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in example.items())


def run_gate(
    gate: str,
    tables: Mapping[str, pl.DataFrame],
    checks: Sequence[Check],
    docs: Path,
    places: Mapping[str, Sequence[str]],
    figures: Mapping[str, Any],
) -> QualityReport:
    """Run all checks, write Data Docs to `docs`, and raise when one fails.

    Args:
        gate: name of the gate.
        tables: what the checks look at, by name.
        checks: what must hold.
        docs: folder for the Data Docs; replaced.
        places: for each table, the columns that tell a person where a row is; default: all.
        figures: numbers that go into the report as they are.

    Raises:
        QualityFailed: with every failed rule, its count and three example rows.
    """
    remove(docs)
    context = _context(docs)
    found: list[Outcome] = []
    for name, table in tables.items():
        mine = [check for check in checks if check.table == name]
        if mine:
            found += _run(context, f"{gate}.{name}", table, mine, places.get(name, table.columns))
    report = QualityReport(gate, all(one.passed for one in found), tuple(found), dict(figures))
    if not report.passed:
        raise QualityFailed(report, docs)
    return report


def _context(docs: Path) -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    store = {
        "class_name": "TupleFilesystemStoreBackend",
        "base_directory": str(docs.absolute()),
    }
    site: Any = {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": store,
    }
    if "local_site" in context.get_site_names():
        context.delete_data_docs_site("local_site")
    context.add_data_docs_site("bertops", site)
    return context


def _run(
    context: Any, name: str, table: pl.DataFrame, checks: Sequence[Check], place: Sequence[str]
) -> list[Outcome]:
    """Run the checks of one table through a checkpoint that writes the Data Docs."""
    import great_expectations as gx
    from great_expectations.checkpoint.actions import UpdateDataDocsAction

    source = context.data_sources.add_pandas(name)
    batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite(name=name))
    for check in checks:
        expectation = getattr(gx.expectations, check.expectation)
        suite.add_expectation(expectation(**check.arguments, meta={"rule": check.rule}))
    definition = gx.ValidationDefinition(name=name, data=batch, suite=suite)
    checkpoint = gx.Checkpoint(
        name=name,
        validation_definitions=[context.validation_definitions.add(definition)],
        actions=[UpdateDataDocsAction(name="docs", site_names=["bertops"])],
        result_format={
            "result_format": "SUMMARY",
            "partial_unexpected_count": EXAMPLES,
            "unexpected_index_column_names": [c for c in place if c in table.columns],
        },
    )
    ran = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": _pandas(table)})
    (validated,) = ran.run_results.values()
    results = {one.expectation_config.meta["rule"]: one for one in validated.results}
    return [_outcome(check, results[check.rule], len(table)) for check in checks]


def _pandas(table: pl.DataFrame) -> Any:
    import pandas as pd

    return pd.DataFrame({name: table[name].to_list() for name in table.columns})


def _outcome(check: Check, result: Any, rows: int) -> Outcome:
    details = dict(result.result)
    raised = dict(result.exception_info)
    if any(isinstance(one, dict) and one.get("raised_exception") for one in raised.values()):
        raise RuntimeError(f"{check.rule} could not be checked: {raised}")
    examples = details.get("partial_unexpected_index_list") or []
    if not examples and "observed_value" in details and not result.success:
        examples = [{"observed": details["observed_value"]} | _limits(check)]
    return Outcome(
        rule=check.rule,
        passed=bool(result.success),
        rows=rows,
        failed_rows=int(details.get("unexpected_count") or 0),
        examples=tuple(_plain(example) for example in examples[:EXAMPLES]),
        remedy="" if result.success else check.remedy,
    )


def _limits(check: Check) -> dict[str, Any]:
    return {k: v for k, v in check.arguments.items() if k in ("min_value", "max_value")}


def _plain(example: Mapping[str, Any]) -> dict[str, Any]:
    """NumPy values as those of Python, missing ones as None."""
    plain = {k: v.item() if hasattr(v, "item") else v for k, v in example.items()}
    return {name: None if value != value else value for name, value in plain.items()}
