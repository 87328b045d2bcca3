import csv
import json

import pytest

from bertops.errors import UsageError
from bertops.inference import stream
from bertops.inference.stream import predict_file
from tests.unit.packers import PACKERS

COLUMNS = {"text": "review"}


def shout(examples):
    """A model that gives the text back in capitals."""
    return [{"prediction": e["text"].upper(), "probabilities": [1.0, 0.0]} for e in examples]


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_good_rows_are_predicted_and_bad_ones_told_with_their_reason(tmp_path):
    rows = [
        b'{"review": "good", "id": 7}',
        b'{"review": ',
        b'{"review": "\xff"}',
        b'{"text": "no such column"}',
        b'{"review": "   "}',
        b'{"review": 5}',
        b'["review"]',
        b'{"review": "cut \\ud83d"}',
        '{"review": "电影", "note": "\\ud83d"}'.encode(),
    ]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    report = predict_file(shout, tmp_path / "in.jsonl", tmp_path / "out.jsonl", COLUMNS)
    assert (report.read, report.predicted, report.bad) == (9, 2, 7)
    assert lines(tmp_path / "out.jsonl") == [
        {"row": 0, "review": "good", "id": 7, "prediction": "GOOD", "probabilities": [1.0, 0.0]},
        {"row": 8, "review": "电影", "note": "\ud83d"}
        | {"prediction": "电影", "probabilities": [1.0, 0.0]},
    ]
    problems = {row["row"]: row["problem"] for row in lines(tmp_path / "out.jsonl.bad.jsonl")}
    assert list(problems) == [1, 2, 3, 4, 5, 6, 7]
    assert problems[3] == "no column 'review'"
    assert problems[4] == "'review' is empty"
    assert problems[7] == "'review' has half a character, a surrogate without its other"


def test_without_bad_rows_there_is_no_side_file(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"review": "good"}\n')
    report = predict_file(shout, tmp_path / "in.jsonl", tmp_path / "out.jsonl", COLUMNS)
    assert report.bad_rows is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_json_lines_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"review": "good"}\n', encoding="utf-8-sig")
    report = predict_file(shout, tmp_path / "in.jsonl", tmp_path / "out.jsonl", COLUMNS)
    assert (report.read, report.predicted) == (1, 1)


@pytest.mark.parametrize("pack", PACKERS)
def test_a_compressed_file_is_read_as_if_it_were_not(tmp_path, pack):
    (tmp_path / f"in.jsonl{pack}").write_bytes(PACKERS[pack](b'{"review": "good"}\n' * 3))
    (tmp_path / f"in.csv{pack}").write_bytes(PACKERS[pack]("review\n电影\n".encode()))
    predict_file(shout, tmp_path / f"in.jsonl{pack}", tmp_path / "lines.jsonl", COLUMNS)
    predict_file(shout, tmp_path / f"in.csv{pack}", tmp_path / "table.jsonl", COLUMNS)
    assert [row["prediction"] for row in lines(tmp_path / "lines.jsonl")] == ["GOOD"] * 3
    assert [row["prediction"] for row in lines(tmp_path / "table.jsonl")] == ["电影"]


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
@pytest.mark.parametrize("pack", PACKERS)
def test_a_compressed_file_that_is_cut_off_gives_no_output(tmp_path, pack, suffix):
    rows = "".join(f'{{"review": "number {n * 7919 % 10007}"}}\n' for n in range(5000))
    text = rows if suffix == "jsonl" else f"review\n{rows}"
    whole = PACKERS[pack](text.encode())
    source = tmp_path / f"in.{suffix}{pack}"
    source.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="cannot be read to its end"):
        predict_file(shout, source, tmp_path / "out.jsonl", COLUMNS)
    assert list(tmp_path.iterdir()) == [source]


def test_tsv_knows_no_quotes(tmp_path):
    texts = ["fine", '"Unbelievable, he said.', 'a "good" one', "bad", "so so", "the end"]
    (tmp_path / "in.tsv").write_text("\n".join(["review", *texts, ""]))
    predict_file(shout, tmp_path / "in.tsv", tmp_path / "out.jsonl", COLUMNS)
    assert [row["review"] for row in lines(tmp_path / "out.jsonl")] == texts


def test_tables_come_and_go_in_csv_and_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ["a, b", 'say "so"', "two\nlines"]
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["review"], *([text] for text in texts)])
    pq.write_table(pa.table({"review": texts}), tmp_path / "in.parquet")
    predict_file(shout, tmp_path / "in.csv", tmp_path / "out.parquet", COLUMNS)
    predict_file(shout, tmp_path / "in.parquet", tmp_path / "out.csv", COLUMNS)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["prediction"].to_pylist() == [text.upper() for text in texts]
    assert table["review"].to_pylist() == texts
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prediction"] for row in rows] == [text.upper() for text in texts]
    assert [row["review"] for row in rows] == texts


def test_a_csv_row_with_other_columns_or_other_bytes_is_bad(tmp_path):
    (tmp_path / "in.csv").write_bytes(b"review,id\ngood,1\nbad\nfine,2,3\n\xff,4\n")
    report = predict_file(shout, tmp_path / "in.csv", tmp_path / "out.jsonl", COLUMNS)
    assert (report.predicted, report.bad) == (1, 3)


def test_memory_holds_one_chunk_whatever_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "CHUNK_ROWS", 10)
    (tmp_path / "in.jsonl").write_text('{"review": "good"}\n' * 95)
    sizes = []

    def ask(examples):
        sizes.append(len(examples))
        return shout(examples)

    predict_file(ask, tmp_path / "in.jsonl", tmp_path / "out.jsonl", COLUMNS)
    assert sizes == [10] * 9 + [5]
    assert [row["row"] for row in lines(tmp_path / "out.jsonl")] == list(range(95))


def test_a_failure_midway_leaves_no_output(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"review": "good"}\n')

    def ask(examples):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(ask, tmp_path / "in.jsonl", tmp_path / "out.jsonl", COLUMNS)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(("source", "target"), [("in.txt", "o.jsonl"), ("in.jsonl", "o.txt")])
def test_unknown_formats_and_missing_files_are_usage_errors(tmp_path, source, target):
    with pytest.raises(UsageError, match="format unknown"):
        predict_file(shout, tmp_path / source, tmp_path / target, COLUMNS)
    with pytest.raises(UsageError, match="no such file"):
        predict_file(shout, tmp_path / "none.csv", tmp_path / "o.jsonl", COLUMNS)


def test_an_open_quotation_mark_costs_rows_but_not_in_silence(tmp_path):
    table = 'id,review\n1,good\n2,"He said it is good\n3,bad\n4,dull\n'
    (tmp_path / "in.csv").write_text(table)
    report = predict_file(shout, tmp_path / "in.csv", tmp_path / "out.jsonl", COLUMNS)
    assert (report.read, report.predicted, report.bad) == (2, 1, 1)
    (bad,) = lines(tmp_path / "out.jsonl.bad.jsonl")
    assert bad["problem"] == "quotation marks in lines 3 to 5: unexpected end of data"


def test_json_too_deep_to_read_is_one_bad_row(tmp_path):
    deep = '{"review": ' + "[" * 100_000 + "]" * 100_000 + "}"
    (tmp_path / "in.jsonl").write_text(f'{deep}\n{{"review": "good"}}\n')
    report = predict_file(shout, tmp_path / "in.jsonl", tmp_path / "out.jsonl", COLUMNS)
    assert (report.predicted, report.bad) == (1, 1)


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more"])
def test_a_file_that_is_no_parquet_is_told(tmp_path, content):
    (tmp_path / "in.PARQUET").write_bytes(content)
    with pytest.raises(UsageError, match=r"in.PARQUET: no whole Parquet file"):
        predict_file(shout, tmp_path / "in.PARQUET", tmp_path / "out.jsonl", COLUMNS)
