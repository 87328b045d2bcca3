"""`python -m flows NAME`: one flow in this process; `bertops run` becomes this."""

import argparse
import sys
from pathlib import Path

from bertops.cli.failures import tell
from bertops.cli.output import print_json
from bertops.cli.summary import summarize
from flows.pipeline import pipeline


def main() -> int:
    """Run a flow; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__)
    parser.add_argument("flow", choices=["pipeline"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        report = pipeline(Path())
    except BaseException as error:  # every ending gets its paragraph and its exit code
        return tell(error)
    if arguments.json:
        print_json(report)
    else:
        ran = [found.stage for found in report.stages if found.outcome == "ran"]
        print(summarize(Path().resolve(), ran, len(report.stages), report.releases))
    refused = [found for found in report.releases if found.refused]
    return 3 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
