"""Web pages: HTML files, and WARC and WET archives of a crawl. Main text by trafilatura.

Source of the format: ISO 28500:2017, WARC 1.1.
"""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from bertops.corpus.params import SourceParams
from bertops.corpus.readers import EXCERPT_CHARACTERS, Fault, Record, Text
from bertops.extras import require

MAX_HEADER_BYTES = 64 * 1024


def read_html(file: Text, source: SourceParams) -> Iterator[Record | Fault]:
    """One page: its main text, without navigation, banners and footers."""
    page = file.stream.read(source.max_document_bytes + 1)
    if len(page) > source.max_document_bytes:
        yield Fault(0, f"the page is longer than {source.max_document_bytes:,} bytes")
    else:
        yield _page(0, page, {}, source)


def _page(row: int, page: bytes, columns: dict[str, str], source: SourceParams) -> Record | Fault:
    text = main_text(page)
    if not text:
        start = page[:EXCERPT_CHARACTERS].decode("utf-8", "replace")
        return Fault(row, "no main text was found in the page", start)
    return Record(row, columns | {source.text_column: text})


def main_text(page: bytes) -> str | None:
    """Main text of an HTML page; None where there is none."""
    require("web", "trafilatura", reason="HTML and WARC need it")
    import trafilatura

    try:
        return trafilatura.extract(page, include_comments=False, include_tables=False)
    except Exception:  # a parser over the open web: whatever it raises costs this page alone
        return None


@dataclass(frozen=True)
class WarcRecord:
    """Headers, names in lower case, and the block."""

    headers: dict[str, str]
    block: bytes


def read_warc(file: Text, source: SourceParams) -> Iterator[Record | Fault]:
    """Pages (WARC: `response` records of HTML) and texts (WET: `conversion` records).

    Columns: the text, `url` and `date`. A record over the limit is passed over and reported.
    """
    for row, found in enumerate(_records(file.stream, source.max_document_bytes)):
        if isinstance(found, str):
            yield Fault(row, found)
            continue
        columns = {
            "url": found.headers.get("warc-target-uri", ""),
            "date": found.headers.get("warc-date", ""),
        }
        kind = found.headers.get("warc-type")
        if kind == "conversion":
            text = found.block.decode("utf-8", "replace")
            yield Record(row, columns | {source.text_column: text})
        elif kind == "response":
            body = _html_body(found.block)
            if body is not None:
                yield _page(row, body, columns, source)


def _records(stream: io.BufferedReader, max_bytes: int) -> Iterator[WarcRecord | str]:
    """Records one after the other; a string for one that is not readable."""
    while line := stream.readline(MAX_HEADER_BYTES):
        if not line.strip():
            continue
        if not line.startswith(b"WARC/"):
            yield "expected a WARC record; the rest of the file is not readable"
            return
        headers = _headers(stream)
        length = headers.get("content-length", "")
        if not length.isdigit():
            yield "a WARC record without Content-Length; the rest of the file is not readable"
            return
        if int(length) > max_bytes:
            _skip(stream, int(length))
            yield f"the record is longer than {max_bytes:,} bytes"
            continue
        block = stream.read(int(length))
        yield WarcRecord(headers, block) if len(block) == int(length) else "the record is cut off"


def _headers(stream: io.BufferedReader) -> dict[str, str]:
    found: dict[str, str] = {}
    while (line := stream.readline(MAX_HEADER_BYTES)).strip():
        name, _, value = line.decode("utf-8", "replace").partition(":")
        found[name.strip().lower()] = value.strip()
    return found


def _skip(stream: io.BufferedReader, size: int) -> None:
    while size > 0 and (read := len(stream.read(min(size, 1 << 20)))):
        size -= read


def _html_body(block: bytes) -> bytes | None:
    """Body of an HTTP response that is HTML; None for any other."""
    head, _, body = block.partition(b"\r\n\r\n")
    lower = head.lower()
    if b"content-type:" in lower and b"html" not in lower:
        return None
    if b"content-encoding: gzip" in lower:
        try:
            return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, 64 << 20)
        except zlib.error:
            return None
    return body
