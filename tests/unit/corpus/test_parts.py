"""Raw parts: what a new file changes in them, and that nothing else depends on where they end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import polars as pl
import pyarrow.parquet as pq
import pytest

from bertops.corpus import tables
from bertops.corpus.clean import clean_corpus
from bertops.corpus.ingest import SHARD_DOCUMENTS, write_raw
from bertops.corpus.params import CorpusParams, LanguageParams, SourceParams
from bertops.corpus.tables import RAW, parts, scan, write_parts
from bertops.document import SplitParams, document_id
from bertops.parallel import ParallelParams, Workers
from bertops.storage import count_bytes, hash_file, hash_tree
from tests.unit.corpus.test_clean import NO_RULES, prose


def rows(files: dict[str, int], words: int = 3) -> Iterator[dict[str, Any]]:
    """Rows of table RAW: so many short documents in each file."""
    for name, count in files.items():
        for row in range(count):
            text = f"{prose(crc32(name.encode()) + row, words)} {row}"
            yield {
                "doc_id": document_id(text), "source": "s", "file": name, "row": row,
                "user_id": None, "text": text, "meta": "{}",
            }  # fmt: skip


def hashes(files: dict[str, int], target: Path, words: int = 3) -> set[str]:
    write_raw(rows(files, words), target)
    return {hash_file(part) for part in parts(target)}


FILES = {f"{place:02}.jsonl": 2000 for place in range(1, 20, 2)}


@pytest.mark.parametrize("new", ["00.jsonl", "08.jsonl", "99.jsonl"])
def test_a_new_file_leaves_nearly_all_parts_as_they_were(tmp_path: Path, new: str) -> None:
    before = hashes(FILES, tmp_path / "before")
    grown = dict(sorted((FILES | {new: 2000}).items()))
    after = hashes(grown, tmp_path / "after")
    assert len(before) >= 10
    assert len(before - after) <= 2
    assert scan(tmp_path / "after").collect()["file"].unique(maintain_order=True).to_list() == list(
        grown
    )


def test_a_row_group_ends_where_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 4)
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 10)
    lengths = [3, 3, 3, 0, 9, 1, 30, 10, 0, 0, 0, 0, 5, 4, 1, 2]
    table = pl.DataFrame({"text": ["x" * length for length in lengths]})
    write_parts([table.slice(0, 7), table.slice(7)], tmp_path, table.schema, 1000, 1 << 40)
    with pq.ParquetFile(parts(tmp_path)[0]) as file:
        groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert groups == [4, 2, 1, 1, 4, 3, 1]  # four rows, or ten bytes and the row that reaches them


def test_parts_stay_within_their_limits_though_all_documents_are_equal(tmp_path: Path) -> None:
    row = next(rows({"a": 1}))
    count = 3 * SHARD_DOCUMENTS
    assert write_raw(({**row, "row": place} for place in range(count)), tmp_path) == count
    found = [pl.read_parquet(part).height for part in parts(tmp_path)]
    assert sum(found) == count
    assert max(found) <= SHARD_DOCUMENTS
    assert len(found) < 20


def test_cleaning_works_on_the_new_parts_alone_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertops.corpus.ingest.SHARD_DOCUMENTS", 20)
    told = _cleaned(tmp_path, {"a.txt": 60, "c.txt": 60}, monkeypatch)
    assert told == ["judge", "sign"]
    whole = len(parts(tmp_path / "raw"))
    judged, signed = _cleaned(tmp_path, {"a.txt": 60, "b.txt": 20, "c.txt": 60}, monkeypatch)
    now = len(parts(tmp_path / "raw"))
    assert whole > 5
    assert judged == f"judge ({whole - 1} of {now} shards were done before)"
    assert signed == f"sign ({whole - 1} of {now} shards were done before)"


def test_the_largest_parts_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bertops.corpus.ingest.SHARD_DOCUMENTS", 20)
    begun: dict[str, list[int]] = {}

    def noted(self: Workers, function: Any, tasks: Any, what: str, unit: str = "shards") -> Any:
        begun[what] = [count_bytes(task[0]) for task in tasks if isinstance(task[0], Path)]
        return [function(*task) for task in tasks]

    monkeypatch.setattr(Workers, "run", noted)
    _cleaned(tmp_path, {"a.txt": 60, "c.txt": 60}, monkeypatch)
    for what in ("judge", "sign"):
        assert len(begun[what]) > 5
        assert begun[what] == sorted(begun[what], reverse=True)


def test_where_parts_end_changes_nothing_in_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"a.txt": 60, "b.txt": 60}
    _cleaned(tmp_path / "one", files, monkeypatch)
    monkeypatch.setattr("bertops.corpus.ingest.SHARD_DOCUMENTS", 15)
    _cleaned(tmp_path / "many", files, monkeypatch)
    one, many = (len(parts(tmp_path / name / "raw")) for name in ("one", "many"))
    assert one < many
    assert hash_tree(tmp_path / "one/corpus") == hash_tree(tmp_path / "many/corpus")


def _cleaned(root: Path, files: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Clean the files; what the bars of the two passes over them say."""
    told: list[str] = []

    class Told(Workers):
        def run(self, function: Any, tasks: Any, what: str, unit: str = "shards") -> list[Any]:
            told.append(what)
            return super().run(function, tasks, what, unit)

    monkeypatch.setattr("bertops.corpus.clean.Workers", Told)
    raw = root / "raw"
    if raw.exists():
        for part in parts(raw):
            part.unlink()
    write_raw(rows(files, words=40), raw)
    params = CorpusParams(
        sources=(SourceParams(name="s", path="s"),),
        language=LanguageParams(enabled=False),
        rules=NO_RULES,
        parallel=ParallelParams(workers=1),
    )
    split = SplitParams(validation=0, test=0)
    clean_corpus({"s": raw}, {}, root / "corpus", root / "ledger", params, split, root / "work")
    return told[:2]


def test_how_rows_are_handed_over_changes_no_byte(tmp_path: Path) -> None:
    table = pl.DataFrame(list(rows({"a": 900}, words=400)), RAW)
    write_parts([table], tmp_path / "whole", RAW, 1000, 1 << 30)
    pieces = (table.slice(start, 7) for start in range(0, len(table), 7))
    write_parts(pieces, tmp_path / "pieces", RAW, 1000, 1 << 30)
    assert hash_tree(tmp_path / "whole") == hash_tree(tmp_path / "pieces")
