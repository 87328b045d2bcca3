"""`python -m flows NAME [key=value ...]`: one flow in this process; `bertops run` becomes this."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.flow_engine import FlowRunTimeoutError

from bertops.cli.failures import end_on_sigterm, tell
from bertops.cli.output import print_json
from bertops.cli.summary import summarize
from bertops.errors import BertopsError, UsageError
from flows.backfill import backfill
from flows.deploy import deploy
from flows.monitor import monitor
from flows.pipeline import PipelineReport, pipeline
from flows.promotion import promotion
from flows.retrain import retrain
from flows.tasks import TIMEOUT, TIMEOUT_S

FLOWS: Mapping[str, Any] = {
    "pipeline": pipeline,
    "retrain": retrain,
    "promotion": promotion,
    "monitor": monitor,
    "backfill": backfill,
}
"""Flows by the name of their deployment."""


def main() -> int:
    """Run a flow; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__)
    parser.add_argument("flow", choices=[*FLOWS, "deploy"])
    parser.add_argument("parameters", nargs="*", metavar="key=value")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    arguments = parser.parse_args()
    end_on_sigterm()
    try:
        if arguments.flow == "deploy":
            report = deploy(Path(), dry_run=arguments.dry_run)
        else:
            report = FLOWS[arguments.flow](**_parse(arguments.parameters))
    except FlowRunTimeoutError:
        return tell(
            BertopsError(f"{arguments.flow} took longer than {TIMEOUT_S:.0f} s ({TIMEOUT})")
        )
    except BaseException as error:  # every ending gets its paragraph and its exit code
        return tell(error)
    _show(report, arguments.json)
    return _exit_code(report)


def _parse(parameters: list[str]) -> dict[str, Any]:
    """Parameters of a flow, as JSON where they are JSON; Prefect checks their types."""
    pairs = [text.partition("=") for text in parameters]
    if bad := [key for key, sign, _ in pairs if not sign]:
        raise UsageError(f"{bad[0]!r} is no parameter; write key=value")
    return {key: _value(text) for key, _, text in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _show(report: Any, as_json: bool) -> None:
    if as_json:
        print_json(report)
    elif isinstance(report, PipelineReport):
        ran = [found.stage for found in report.stages if found.outcome == "ran"]
        print(summarize(Path().resolve(), ran, len(report.stages), report.releases))
    else:
        print(getattr(report, "sentence", report))


def _exit_code(report: Any) -> int:
    """3 when a gate has said no: to a model, or to the data that a retrain brought."""
    made = getattr(report, "pipeline", None) or report
    refused = any(one.refused for one in getattr(made, "releases", ()))
    return 3 if refused or getattr(report, "outcome", "") == "data refused" else 0


if __name__ == "__main__":
    sys.exit(main())
