"""Every format, read from a file made by hand."""

import gzip
import io
import mailbox
import tarfile
import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from bertops.compression import zstd
from bertops.corpus.errors import ColumnMissing, FolderLinked, FormatUnknown, SourceMissing
from bertops.corpus.params import SourceParams
from bertops.corpus.readers import Record
from bertops.corpus.sources import read_stream
from bertops.corpus.wiki import plain_text
from tests.unit.corpus.conftest import Ingested, read_folder
from tests.unit.corpus.test_hostile_input import tarred, zipped

Read = Callable[..., Ingested]
PAGE = """<html><head><title>Page</title></head><body><nav><a href="/">Home</a></nav><article>
<h1>The lighthouse</h1><p>The lighthouse keeper climbed the stairs every evening at dusk, and he
lit the lamp that the ships far out at sea were waiting for.</p><p>In the morning he put it out
again, wrote the weather into his book, and went down to have his breakfast.</p></article>
<footer>Copyright, imprint, contact</footer></body></html>"""
DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">
<page><title>River</title><ns>0</ns><id>7</id><revision><id>1</id>
<text>'''River''' is a {{nowrap|natural {{flow}}}} [[stream|watercourse]].&lt;ref&gt;x&lt;/ref&gt;

== Uses ==
* [[Fishing]]
[[File:A.jpg|thumb|A [[river]] in winter]]</text></revision></page>
<page><title>Old</title><ns>0</ns><id>8</id><redirect title="River"/><revision><text>#REDIRECT
[[River]]</text></revision></page>
<page><title>Talk:River</title><ns>1</ns><id>9</id><revision><text>hello</text></revision></page>
</mediawiki>"""


def test_a_text_file_is_one_document_or_one_for_each_line_or_paragraph(read: Read) -> None:
    content = b"one\nstill one\n\ntwo\n"
    assert read("a.txt", content).texts == ["one\nstill one\n\ntwo"]
    assert read("a.txt", content, unit="line").texts == ["one", "still one", "two"]
    found = read("a.txt", content, unit="paragraph")
    assert found.texts == ["one\nstill one", "two"]
    assert found.raw["row"].to_list() == [0, 3]


def test_columns_of_a_table_become_text_id_and_meta(read: Read) -> None:
    content = b"id,body,label,lang\n1,a,x,en\n2,b,y,de\n3,c,z,en\n"
    found = read(
        "a.csv", content, text_column="body", id_column="id", meta_columns=("label",),
        where={"lang": "en"},
    )  # fmt: skip
    assert found.raw.select("user_id", "text", "meta").rows() == [
        ("1", "a", '{"label": "x"}'),
        ("3", "c", '{"label": "z"}'),
    ]
    assert (found.report.read, found.report.kept, found.report.filtered) == (3, 2, 1)


def test_where_takes_one_of_several_values(read: Read) -> None:
    found = read("a.tsv", b"text\tn\na\t1\nb\t2\nc\t3\n", where={"n": [1, 3]})
    assert found.texts == ["a", "c"]


def test_a_table_without_the_named_column_says_which_it_has(read: Read) -> None:
    with pytest.raises(ColumnMissing, match=r"no column 'text'; it has body, label"):
        read("a.csv", b"body,label\na,x\n")


def test_parquet_gives_the_columns_that_are_asked_for(read: Read) -> None:
    buffer = io.BytesIO()
    pl.DataFrame({"text": ["a", None, "c"], "x": [1, 2, 3]}).write_parquet(buffer)
    found = read("a.parquet", buffer.getvalue())
    assert found.texts == ["a", "c"]
    assert found.errors == ["'text' is missing"]


def test_a_saved_hugging_face_dataset_is_read(tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_dict({"text": ["a", "b"], "n": [1, 2]}).save_to_disk(str(tmp_path / "ds"))
    found = read_folder(tmp_path, path=None, hub="ds", where={"n": 2})
    assert found.texts == ["b"]


def test_html_gives_the_main_text(read: Read) -> None:
    pytest.importorskip("trafilatura", reason="needs the extra web")
    (text,) = read("a.html", PAGE.encode()).texts
    assert "lighthouse keeper" in text
    assert "Copyright" not in text


def warc(kind: str, url: str, block: bytes) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}"
    )
    return head.encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def test_wet_gives_texts_and_addresses(read: Read) -> None:
    content = warc("warcinfo", "", b"x") + warc("conversion", "http://a.org/", "text é".encode())
    found = read("a.warc.wet", content, id_column="url")
    assert found.raw.select("user_id", "text").rows() == [("http://a.org/", "text é")]


def test_warc_gives_the_main_text_of_pages_alone(read: Read) -> None:
    pytest.importorskip("trafilatura", reason="needs the extra web")
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE.encode()
    picture = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n\x89PNG"
    content = warc("response", "http://a.org/", page) + warc("response", "b", picture)
    content += warc("request", "c", b"GET /")
    found = read("a.warc", content + b"WARC/1.0\r\nno length\r\n\r\n")
    assert len(found.texts) == 1
    assert "without Content-Length" in found.errors[0]


def test_a_wiki_dump_gives_articles_without_markup(read: Read) -> None:
    found = read("dump.xml", DUMP.encode(), id_column="id")
    assert found.texts == ["River is a  watercourse.\n\nUses\nFishing"]
    assert found.raw["user_id"].to_list() == ["7"]


def test_a_cut_wiki_dump_keeps_what_came_before(read: Read) -> None:
    found = read("dump.xml", DUMP.encode()[: DUMP.index("<page><title>Talk")])
    assert len(found.texts) == 1
    assert "rest of the dump" in found.errors[0]


@pytest.mark.parametrize("opening", ["<ref>", "{{", "{|", "[[", "<!--", "[[File:", "-{", "'"])
def test_unclosed_wiki_markup_takes_linear_time(opening: str) -> None:
    def seconds(times: int) -> float:
        start = time.process_time()
        plain_text(opening * times)
        return time.process_time() - start

    # Four times the text: four times as long when linear, sixteen times when quadratic.
    assert seconds(80_000) < 9 * max(seconds(20_000), 0.02)


def test_mbox_gives_the_readable_part_of_each_mail(tmp_path: Path, read: Read) -> None:
    box = mailbox.mbox(tmp_path / "made.mbox")
    for number in range(2):
        mail = EmailMessage()
        mail["Subject"], mail["Message-ID"] = f"Nr. {number}", f"<{number}@a.org>"
        mail.set_content(f"Grüße {number}\nFrom here to there\n")
        mail.add_attachment(b"\x00", maintype="application", subtype="pdf")
        box.add(mail)
    box.close()
    found = read("a.mbox", (tmp_path / "made.mbox").read_bytes(), id_column="id")
    assert [text.strip() for text in found.texts] == [
        f"Grüße {n}\nFrom here to there" for n in range(2)
    ]
    assert found.raw["user_id"].to_list() == ["<0@a.org>", "<1@a.org>"]


def test_archives_give_their_entries_as_files(read: Read) -> None:
    entries = {"b/one.jsonl": b'{"text": "x"}\n', "a.txt": b"y", "picture.png": b"\x89PNG"}
    found = read("a.zip", zipped(entries))
    assert found.raw.select("file", "text").rows() == [
        ("in/a.zip!b/one.jsonl", "x"),
        ("in/a.zip!a.txt", "y"),
    ]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"y"))
    assert read("a.tar.xz", buffer.getvalue()).texts[-1] == "y"


def test_a_folder_passes_over_what_is_no_text_but_a_named_file_must_be_one(read: Read) -> None:
    read("a.txt", b"y")
    assert read("README.md", b"about").texts == ["y"]
    assert read("scan.pdf", b"%PDF").texts == ["y"]
    with pytest.raises(FormatUnknown, match=r"cannot read in/scan.pdf"):
        read("scan.pdf", b"%PDF", path="in/scan.pdf")


@pytest.mark.parametrize("files", [None, "**/*.txt"])
def test_a_link_to_another_folder_is_told(read: Read, tmp_path: Path, files: str | None) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/b.txt").write_text("b")
    read("a.txt", b"a")
    (tmp_path / "in/2023").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FolderLinked, match=r"in/2023 is a link to a folder"):
        read("a.txt", b"a", files=files)


def test_quotation_marks_of_a_tsv_are_part_of_its_text_unless_it_says_otherwise(read: Read) -> None:
    content = b'text\tlabel\n"Great" movie\t1\n"open\t0\nplain\t1\n'
    assert read("a.tsv", content).texts == ['"Great" movie', '"open', "plain"]
    content = b'text\tlabel\n"with a\ttab"\t1\n'
    assert read("a.tsv", content, quoted=True).texts == ["with a\ttab"]


def test_globs_choose_files(read: Read) -> None:
    read("a.txt", b"a")
    read("b.md", b"b")
    assert read("c.txt", b"c", path="in/*.txt").texts == ["a", "c"]
    assert read("c.txt", b"c", files="*.txt").texts == ["a", "c"]
    assert read("d/e.txt", b"e", files="**/*.txt").texts == ["a", "c", "e"]


@pytest.mark.parametrize("files", ["../*.txt", "/etc/*", "a/../../*"])
def test_a_glob_stays_in_the_folder_that_is_watched(files: str) -> None:
    with pytest.raises(ValidationError, match="must stay below the folder"):
        SourceParams(name="s", path="in", files=files)


def test_a_missing_source_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match=r"'s': nothing found at nowhere/\*\.txt"):
        read_folder(tmp_path, path="nowhere/*.txt")


def test_an_fsspec_address_is_read(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://texts/a.jsonl", "wb") as file:
        file.write(b'{"text": "far away"}\n')
    assert read_folder(tmp_path, path="memory://texts/*.jsonl").texts == ["far away"]
    assert read_folder(tmp_path, path="memory://texts", files="*.jsonl").texts == ["far away"]


def test_an_fsspec_folder_is_searched_and_its_parquet_read(tmp_path: Path) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    for name, content in (
        ("b/rows.parquet", parquet(["two"])),
        ("a.txt", b"one"),
        ("c.parquet.gz", gzip.compress(parquet(["three"]))),
        ("README.md", b"about"),
        ("picture.png", b"\x89PNG"),
    ):
        files.pipe(f"/folder/{name}", content)
    assert read_folder(tmp_path, path="memory://folder").texts == ["one", "two", "three"]
    assert read_folder(tmp_path, path="memory://folder/**/*.parquet").texts == ["two"]
    assert read_folder(tmp_path, path="memory://folder/b/rows.parquet").texts == ["two"]
    with pytest.raises(SourceMissing):
        read_folder(tmp_path, path="memory://nowhere")
    with pytest.raises(FormatUnknown):
        read_folder(tmp_path, path="memory://folder/picture.png")


def test_a_remote_file_that_can_only_read_is_read() -> None:
    """As the files of s3fs are, which have no `read1`."""

    class Remote(io.BytesIO):
        read1 = property()  # type: ignore[assignment]  # asking for it is an AttributeError

    source = SourceParams(name="s", path="s3://a")
    for name, content in (("a.txt", b"one"), ("a.txt.gz", gzip.compress(b"one"))):
        (item,) = read_stream(Remote(content), name, source)
        assert isinstance(item.found, Record)
        assert item.found.columns == {"text": "one"}


def parquet(texts: list[str]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"text": texts}).write_parquet(buffer)
    return buffer.getvalue()


def test_packed_parquet_is_read(read: Read) -> None:
    read("a.zip", zipped({"in.parquet": parquet(["zip"])}))
    read("b.tar", tarred({"in.parquet.zst": zstd.compress(parquet(["tar"]))}))
    found = read("c.parquet.gz", gzip.compress(parquet(["gz"])))
    assert found.texts == ["zip", "tar", "gz"]
    assert found.errors == []


def test_a_sample_by_weight_grows_with_the_weight(read: Read) -> None:
    content = b"".join(b'{"text": "%d"}\n' % i for i in range(1000))
    some, more = (set(read("a.jsonl", content, weight=w).texts) for w in (0.2, 0.5))
    assert some < more
    assert 140 < len(some) < 260


def test_reading_stops_at_the_limit_of_a_source(read: Read) -> None:
    content = b"".join(b'{"text": "%d"}\n' % i for i in range(1000))
    assert read("a.jsonl", content, max_documents=5).texts == ["0", "1", "2", "3", "4"]
