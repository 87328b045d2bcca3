"""The form that all benchmarks report in."""

import argparse
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertops import runtime, storage

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Bar:
    """A promise about a number."""

    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the number is on the right side."""
        above = self.at_least is None or self.value >= self.at_least
        below = self.at_most is None or self.value <= self.at_most
        return above and below

    def to_dict(self) -> dict[str, Any]:
        """With the limits that are set."""
        limits = {"at_least": self.at_least, "at_most": self.at_most}
        given = {name: limit for name, limit in limits.items() if limit is not None}
        return {"value": self.value, **given, "holds": self.holds}


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks share."""
    made = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    made.add_argument("--json", action="store_true", help="End with one line of JSON.")
    return made


def finish(
    name: str,
    ratios: Mapping[str, float],
    bars: Mapping[str, Bar],
    as_json: bool,
    **details: Any,
) -> None:
    """Print the ratios and bars, and keep them in benchmarks/results with machine and commit."""
    result = {
        "ratios": dict(ratios),
        "bars": {key: bar.to_dict() for key, bar in bars.items()},
        "machine": asdict(runtime.machine()),
        "commit": commit(),
        **details,
    }
    storage.write_json(ROOT / f"benchmarks/results/{name}.json", result)
    for key, ratio in ratios.items():
        print(f"{key:<60} {ratio:8.2f}")
    for key, bar in bars.items():
        limit = f"≥ {bar.at_least}" if bar.at_least is not None else f"≤ {bar.at_most}"
        print(f"{key:<60} {bar.value:8.2f}  {limit:<8} {'holds' if bar.holds else 'DOES NOT HOLD'}")
    if as_json:
        print(json.dumps(result))


def commit() -> str:
    """The commit measured, with a + where the working tree differs from it."""
    describe = ["git", "describe", "--always", "--abbrev=12", "--dirty=+"]
    done = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
