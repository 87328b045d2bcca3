"""A source written by hand, read through `ingest`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bertops.corpus.ingest import IngestReport, ingest
from bertops.corpus.params import SourceParams
from bertops.corpus.tables import scan


@dataclass(frozen=True)
class Ingested:
    """What came out of one source."""

    report: IngestReport
    raw: pl.DataFrame
    quarantine: pl.DataFrame

    @property
    def texts(self) -> list[str]:
        return self.raw["text"].to_list()

    @property
    def errors(self) -> list[str]:
        return self.quarantine["error"].to_list()


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Ingested]:
    """Write one file, ingest it, and hand back what was read."""

    def run(name: str, content: bytes, **source: Any) -> Ingested:
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return read_folder(tmp_path, **source)

    return run


def read_folder(root: Path, **source: Any) -> Ingested:
    """Ingest the folder `in` of a project."""
    params = SourceParams(**({"name": "s", "path": "in"} | source))
    report = ingest(params, root / "raw", root / "quarantine", root)
    raw, quarantine = scan(root / "raw").collect(), scan(root / "quarantine").collect()
    return Ingested(report, raw, quarantine)
