"""The example that makes a task with several labels out of tagged sentences."""

import gzip
import json
from pathlib import Path

import pytest

from examples import mentions

TAGGED = "Ada\tB-person\nLovelace\tI-person\nsaw\tO\nParis\tB-place\n\nIt\tO\nrains\tO\n"


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["mentions", str(folder)])
    mentions.main()


def test_a_sentence_gets_the_types_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gzip.open(tmp_path / "train.conll.gz", "wt", encoding="utf-8") as file:
        file.write(TAGGED)
    run(tmp_path, monkeypatch)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").open(encoding="utf-8")]
    assert rows == [
        {"text": "Ada Lovelace saw Paris", "label": ["person", "place"]},
        {"text": "It rains", "label": []},
    ]


def test_a_folder_without_tagged_files_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(SystemExit, match="no CoNLL files in"):
        run(tmp_path, monkeypatch)
