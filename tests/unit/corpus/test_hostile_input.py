"""One bad line costs that line, one bad file that file; each is recorded, nothing is lost."""

import codecs
import gzip
import hashlib
import io
import json
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from bertops.corpus.errors import SourceEmpty
from bertops.corpus.params import SourceParams
from bertops.corpus.sources import read_file, read_source
from tests.unit.corpus.conftest import Ingested, read_folder
from tests.unit.packers import PACKERS

Read = Callable[..., Ingested]

GOOD = b'{"text": "first"}\n'
LAST = b'{"text": "last"}\n'


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"text": "caf\xe9"}', "the line is not utf-8: invalid continuation byte at byte 13"),
        (b'{"text": 5}', "'text' is a int, expected text"),
        (b'{"text": ["a"]}', "'text' is a list, expected text"),
        (b'{"text": null}', "'text' is missing"),
        (b'{"other": "a"}', "'text' is missing"),
        (b'["text"]', "a JSON list, expected an object"),
        (b'"text"', "a JSON str, expected an object"),
        (b'{"text": "cut off', "no JSON"),
        (b'{"text": "a", "text": "b"}', "a key stands twice"),
        (b'{"text": ' + b"[" * 3000 + b"]" * 3000 + b"}", "no JSON: maximum recursion"),
        (b'{"text": ' + b"[" * 100_000, "no JSON"),
        (b'{"text": "a\x00b"}', "no JSON: Invalid control character"),
        (b'{"text": NaN}', "'text' is missing"),
    ],
)
def test_a_bad_line_costs_that_line_alone(read: Read, line: bytes, error: str) -> None:
    found = read("a.jsonl", GOOD + line + b"\n" + LAST * 10)
    assert found.texts == ["first"] + ["last"] * 10
    assert found.raw["row"].to_list() == [0, *range(2, 12)]
    assert found.quarantine["row"].to_list() == [1]
    assert error in found.errors[0]
    assert found.report.read == found.report.kept + found.report.quarantined == 12


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'{"text": "a\\u0000b"}', "a\0b"),
        (b'{"text": "a\\ud800b"}', "a\ufffdb"),
        (b'{"text": "ok", "score": NaN, "more": Infinity}', "ok"),
        (b'{"text": "ok", "deep": ' + b"[" * 500 + b"]" * 500 + b"}", "ok"),
        ('{"text": "one\u2028line\u0085only"}'.encode(), "one\u2028line\u0085only"),
        (b'\r{"text": "ok"}\r', "ok"),
    ],
)
def test_an_odd_line_is_still_read(read: Read, line: bytes, text: str) -> None:
    found = read("a.jsonl", GOOD + line + b"\n" + LAST)
    assert found.texts == ["first", text, "last"]


def test_a_26_digit_id_keeps_all_its_digits(read: Read) -> None:
    found = read("a.jsonl", b'{"text": "a", "id": 12345678901234567890123456}\n', id_column="id")
    assert found.raw["user_id"].to_list() == ["12345678901234567890123456"]


def test_two_documents_with_one_user_id_are_both_kept(read: Read) -> None:
    found = read("a.jsonl", b'{"text": "a", "id": 1}\n{"text": "b", "id": 1}\n', id_column="id")
    assert found.texts == ["a", "b"]
    assert found.raw["doc_id"].n_unique() == 2


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]
)
def test_unicode_is_read_in_every_encoding(read: Read, encoding: str) -> None:
    lines = "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in ("héllo", "wörld"))
    assert read("a.jsonl", lines.encode(encoding)).texts == ["héllo", "wörld"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text",
    [
        "It was the best of times, it was the worst of times.",
        "Москва является столицей России и крупнейшим городом страны.",
        "北京是中华人民共和国的首都,也是全国的政治中心和文化中心。一一得一。",
        "東京は日本の首都であり、世界最大の都市の一つです。",
        "서울은 대한민국의 수도이자 최대 도시이다.",
        "नई दिल्ली भारत की राजधानी है और एक बड़ा शहर है।",
        "القاهرة هي عاصمة جمهورية مصر العربية وأكبر مدنها.",
        "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας.",
    ],
)
def test_every_script_is_read_in_wide_encodings_without_a_mark(
    read: Read, encoding: str, text: str
) -> None:
    lines = [f"{number}. {text}" for number in range(40)]
    found = read("a.txt", "\n".join(lines).encode(encoding), unit="line")
    assert found.texts == lines
    assert found.errors == []


def test_chinese_in_utf16_without_a_single_line_end_is_read(read: Read) -> None:
    text = "北京是中华人民共和国的首都，也是全国的政治中心和文化中心。" * 20
    assert b"\0" not in text.encode("utf-16-le")
    assert read("a.txt", text.encode("utf-16-le")).texts == [text]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "It was the best of times, it was the worst of times."),
        ("utf-8", "Москва является столицей России и крупнейшим городом страны."),
        ("utf-8", "北京是中华人民共和国的首都,也是全国的政治中心和文化中心。"),
        ("cp1252", "Die Straße führt über die Brücke zum Fluß, und weiter geht es nicht."),
    ],
)
def test_a_nul_makes_no_other_encoding_of_a_file(read: Read, encoding: str, text: str) -> None:
    lines = [text, "\0", *[text] * 10]
    assert read("a.txt", "\n".join(lines).encode(encoding), unit="line").texts == lines


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Die Straße führt über die Brücke – und „weiter“ zum Fluß. " * 8),
        ("koi8-r", "Москва является столицей России и крупнейшим городом страны. " * 8),
        ("shift_jis", "東京は日本の首都であり、世界最大の都市の一つです。とても賑やかです。" * 8),
        ("gb18030", "北京是中华人民共和国的首都,也是全国的政治中心和文化中心。" * 8),
        ("big5", "台北是一座位於台灣北部的城市,擁有許多博物館和夜市。" * 8),
    ],
)
def test_legacy_encodings_are_recognized(read: Read, encoding: str, text: str) -> None:
    assert read("a.txt", text.encode(encoding)).texts == [text]


def test_utf16_with_a_lone_surrogate_costs_that_line(read: Read) -> None:
    lines = [b'{"text": "a"}', b'{"text": "\xed\xa0\x80"}', b'{"text": "b"}']
    wide = "\n".join(x.decode("utf-8", "surrogatepass") for x in lines).encode(
        "utf-16-le", "surrogatepass"
    )
    found = read("a.jsonl", codecs.BOM_UTF16_LE + wide)
    assert found.texts == ["a", "b"]
    assert len(found.errors) == 1


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.csv", "a.parquet", "a.warc", "a.xml"])
def test_an_empty_file_is_an_empty_source(read: Read, name: str) -> None:
    with pytest.raises(SourceEmpty) as error:
        read(name, b"")
    assert "no document in in" in str(error.value)


def test_an_empty_file_beside_others_costs_nothing(tmp_path: Path, read: Read) -> None:
    read("a.jsonl", GOOD)
    assert read("b.jsonl", b"").texts == ["first"]


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_files_are_read(read: Read, suffix: str) -> None:
    assert read(f"a.jsonl{suffix}", PACKERS[suffix](GOOD + LAST)).texts == ["first", "last"]


@pytest.mark.parametrize("suffix", PACKERS)
def test_of_a_file_that_is_cut_off_complete_rows_are_kept(read: Read, suffix: str) -> None:
    rows = [f"document {hash_of(i)}" for i in range(60_000)]
    packed = PACKERS[suffix](b"".join(json.dumps({"text": row}).encode() + b"\n" for row in rows))
    found = read(f"a.jsonl{suffix}", packed[: len(packed) // 2])
    assert 10_000 < len(found.texts) < 50_000
    assert found.texts == rows[: len(found.texts)]
    assert "Compressed file ended" in found.errors[-1]


def hash_of(number: int) -> str:
    """What does not compress away."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_a_gz_that_is_none_costs_that_file(read: Read) -> None:
    read("b.jsonl", GOOD)
    found = read("a.jsonl.gz", b"no gzip at all")
    assert found.texts == ["first"]
    assert "Not a gzipped file" in found.errors[0]


def test_a_line_over_the_limit_is_skipped_without_being_held(read: Read) -> None:
    long = b'{"text": "' + b"x" * 3_000_000 + b'"}\n'
    found = read("a.jsonl", GOOD + long + LAST, max_document_bytes=1_000_000)
    assert found.texts == ["first", "last"]
    assert found.errors == ["line is longer than 1,000,000 bytes"]


def test_a_line_of_100_mb_is_never_held(tmp_path: Path) -> None:
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.write(GOOD)
        file.writelines(b"x" * 1_000_000 for _ in range(100))
        file.write(b"\n" + LAST)
    source = SourceParams(name="s", path="a.jsonl", max_document_bytes=1_000_000)
    tracemalloc.start()
    found = [item.found for item in read_source(source, tmp_path)]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [type(row).__name__ for row in found] == ["Record", "Fault", "Record"]
    assert peak_bytes < 10_000_000


def test_a_gzip_bomb_stops_at_the_ratio(read: Read) -> None:
    bomb = gzip.compress(GOOD + LAST + b" " * 50_000_000)
    found = read("a.jsonl.gz", bomb)
    assert found.texts == ["first"]
    assert "unpacks to more than 200 times its size" in found.errors[-1]


def test_a_file_over_the_byte_cap_keeps_what_came_before(read: Read) -> None:
    found = read("a.jsonl.gz", gzip.compress(GOOD * 100_000), max_file_bytes=1_000_000)
    assert set(found.texts) == {"first"}
    assert "more than 1,000,000 bytes" in found.errors[-1]


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(entries: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_a_zip_bomb_stops_at_the_ratio(read: Read) -> None:
    packed = zipped({"good.jsonl": GOOD, "bomb.jsonl": b" " * 50_000_000, "z.jsonl": LAST})
    found = read("a.zip", packed)
    assert found.texts == ["first", "last"]
    assert "unpacks to more than 200 times its size" in found.errors[0]


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "C:/evil.txt"]
)
@pytest.mark.parametrize(("archive", "pack"), [("a.zip", zipped), ("a.tar", tarred)])
def test_an_entry_that_leaves_its_archive_is_refused(
    read: Read, archive: str, pack: Callable[[dict[str, bytes]], bytes], name: str
) -> None:
    found = read(archive, pack({name: b"evil", "good.txt": b"good"}))
    assert found.texts == ["good"]
    assert found.errors == ["the name of the entry leaves the archive"]


def test_links_in_a_tar_are_refused(read: Read) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        good = tarfile.TarInfo("good.txt")
        good.size = 4
        archive.addfile(good, io.BytesIO(b"good"))
    found = read("a.tar.gz", buffer.getvalue())
    assert found.texts == ["good"]
    assert found.raw["file"].to_list() == ["in/a.tar.gz!good.txt"]
    assert found.errors == ["the entry is a link or a device, not a file"]


def test_links_in_a_zip_are_refused(read: Read) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link.txt")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.txt", "good")
    found = read("a.zip", buffer.getvalue())
    assert found.texts == ["good"]
    assert found.errors == ["the entry is a link or a device, not a file"]


def test_a_flipped_byte_in_a_zip_costs_that_entry(read: Read) -> None:
    read("b.txt", b"good")
    words = b"one two three four five six seven"
    packed = zipped({"first.txt": words, "last.txt": words})
    place = packed.index(b"first.txt") + len("first.txt") + 5
    packed = packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :]
    found = read("a.zip", packed)
    assert found.raw["file"].to_list()[-2:] == ["in/a.zip!last.txt", "in/b.txt"]
    assert "not readable from this row on" in found.errors[0]


@pytest.mark.parametrize(("archive", "pack"), [("a.zip", zipped), ("a.tar", tarred)])
def test_no_flipped_byte_of_an_archive_costs_the_file_beside_it(
    tmp_path: Path, archive: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    packed = pack({"first.txt": b"one two three four", "last.txt": b"five six seven eight"})
    (tmp_path / "z.txt").write_bytes(b"good")
    source = SourceParams(name="s", path=".")
    for place in range(0, min(len(packed), 1600), 7):
        flipped = packed[:place] + bytes([packed[place] ^ 0xFF]) + packed[place + 1 :]
        (tmp_path / archive).write_bytes(flipped)
        assert list(read_source(source, tmp_path))[-1].file == "z.txt"


@pytest.mark.parametrize("length", [512, 700, 1024, 1700])
def test_a_truncated_tar_keeps_its_complete_entries(read: Read, length: int) -> None:
    read("b.txt", b"good")
    packed = tarred({"first.txt": b"1 " * 50, "last.txt": b"2 " * 400})
    found = read("a.tar", packed[: 512 + length])
    assert found.texts == ["1 " * 50, "good"]
    assert "the rest of the archive is not readable" in found.errors[-1]


def test_names_that_are_not_utf8_are_told_by_their_bytes(tmp_path: Path, read: Read) -> None:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1"
    ) as archive:
        info = tarfile.TarInfo("caf\xe9.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"good"))
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(bytes(tmp_path / "in") + b"/caf\xe9.jsonl")).write_bytes(GOOD + b"5\n")
    found = read("z.tar", buffer.getvalue())
    assert found.raw["file"].to_list() == ["in/caf\\xe9.jsonl", "in/z.tar!caf\\xe9.txt"]
    assert found.quarantine["file"].to_list() == ["in/caf\\xe9.jsonl"]


def test_a_broken_zip_costs_that_file(tmp_path: Path, read: Read) -> None:
    read("b.txt", b"good")
    found = read("a.zip", b"PK\x03\x04 no zip")
    assert found.texts == ["good"]
    assert "no readable zip" in found.errors[0]


PARQUET = io.BytesIO()
pl.DataFrame({"text": ["a", "b" * 2000, "c"]}).write_parquet(PARQUET)


def test_a_document_over_the_limit_is_quarantined_whatever_its_format(read: Read) -> None:
    page = "<page><title>T</title><ns>0</ns><revision><text>" + "d" * 2000 + "</text></revision>"
    read("a.parquet", PARQUET.getvalue())
    found = read("b.xml", f"<x>{page}</page></x>".encode(), max_document_bytes=1000)
    assert found.texts == ["a", "c"]
    assert found.errors == ["the document is longer than 1,000 bytes"] * 2
    assert found.report.errors == {"the document is longer than 1,000 bytes": 2}


def test_a_cut_parquet_file_costs_that_file(read: Read) -> None:
    read("b.txt", b"good")
    read("a.parquet", PARQUET.getvalue()[:-20])
    found = read("a.parquet.gz", gzip.compress(PARQUET.getvalue())[:-20])
    assert found.texts == ["good"]
    assert len(found.errors) == 2


def test_a_parquet_bomb_stops_at_the_ratio(read: Read) -> None:
    read("b.txt", b"good")
    bomb = zipped({"bomb.parquet": b" " * 50_000_000})
    found = read("a.zip", bomb)
    assert found.texts == ["good"]
    assert "unpacks to more than 200 times its size" in found.errors[-1]


def test_a_dataset_that_breaks_in_the_middle_keeps_what_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        column_names = ("text",)

        def __iter__(self) -> Iterator[dict[str, str]]:
            yield {"text": "first"}
            raise ConnectionError("the hub is gone")

    monkeypatch.setattr("bertops.corpus.datasets._load", lambda *_: Broken())
    found = read_folder(tmp_path, path=None, hub="some/dataset")
    assert found.texts == ["first"]
    assert found.errors == ["the rest of the dataset is not readable: the hub is gone"]


def test_one_kind_of_fault_is_counted_as_one(read: Read) -> None:
    good = '{"text": "ééé"}\n'.encode()
    found = read("a.jsonl", good + b'{"text": "\xe9"}\n{"text": "two \xe9"}\n')
    assert found.report.errors == {"the line is not utf-8": 2}


def test_a_csv_row_with_other_columns_costs_that_row(read: Read) -> None:
    content = (
        b'text,label\n"a, b",1\nonly one\nc,2,3\n"d\nd",4\ncaf\xe9,5\n' + "é".encode() * 9 + b",6\n"
    )
    found = read("a.csv", content, meta_columns=("label",))
    assert found.texts == ["a, b", "d\nd", "é" * 9]
    assert found.errors[0] == "wrong columns: 1, expected 2"
    assert found.errors[1] == "wrong columns: 3, expected 2"
    assert "encoding of the file does not have" in found.errors[2]


def test_a_file_that_changes_while_it_is_read_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(GOOD + LAST)
    items = []
    for item in read_file(file, "a.jsonl", SourceParams(name="s", path="a.jsonl")):
        items.append(item.found)
        file.write_bytes(GOOD + LAST + LAST)
    assert "changed while it was read" in items[-1].error  # type: ignore[union-attr]


def test_a_killed_write_leaves_nothing_that_looks_finished(tmp_path: Path, read: Read) -> None:
    read("a.jsonl", GOOD)
    (tmp_path / "in/a.jsonl").write_bytes(b"")
    with pytest.raises(SourceEmpty):
        read_folder(tmp_path)
    assert not list((tmp_path).glob(".*.partial"))
