"""Bytes → text: which encoding a file is in, and its lines one by one.

A file is taken for UTF-8 unless its beginning says otherwise, so that one bad byte in a UTF-8
file costs its line and does not turn the whole file into a legacy encoding.
"""

import codecs
import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

BOMS = (  # the longer ones first: UTF-32-LE begins like UTF-16-LE
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
WIDE_SAMPLE_BYTES = 4096
READABLE_SHARE = 0.9
HEAD_BYTES = 64 * 1024
MANY_LINES = 10


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its line end; `error` says why it is not whole or not decodable."""

    number: int
    text: str
    error: str | None = None


class ByteStream(io.RawIOBase):
    """A readable binary file over an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the next chunk; 0 at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def detect_encoding(head: bytes) -> str:
    """Name of the encoding of a file that begins with `head`.

    Byte-order marks decide first. Where there are NULs, UTF-16 and UTF-32 are tried. Then it is
    UTF-8 when it is that with few exceptions, else what the statistics of charset-normalizer say.
    """
    for mark, name in BOMS:
        if head.startswith(mark):
            return name
    wide = _wide_encoding(head)
    if wide:
        return wide
    return "utf-8" if _is_utf8(head) else _legacy_encoding(head) or "utf-8"


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: their spaces and line ends have NULs in them.

    Of the encodings in which nearly all is readable the one with most ASCII is taken: every script
    uses its spaces and line ends, and bytes that are swapped give letters of others.
    """
    sample = head[: len(head) // 4 * 4][:WIDE_SAMPLE_BYTES]
    if 0 not in sample or _is_readable(sample.decode("utf-8", "replace")):
        return None  # a NUL in text of another encoding
    texts = {name: sample.decode(name, "replace") for name in WIDE}
    found = [name for name in WIDE if _is_readable(texts[name])]
    return max(found, key=lambda name: sum(c < "\x7f" for c in texts[name]), default=None)


def _is_readable(text: str) -> bool:
    """Whether nearly all characters are letters, digits, marks or white space."""
    good = sum(c in " \t\r\n" or unicodedata.category(c)[0] in "LMNPS" for c in text)
    return good - text.count("\ufffd") > READABLE_SHARE * len(text)


def _is_utf8(head: bytes) -> bool:
    """Whether bad bytes are the exception: fewer than good characters, or in one line of many."""
    if len(head) >= HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head[:-3]  # not to cut a character in two
    text = head.decode("utf-8", errors="surrogateescape")
    if text.isascii():
        return True
    invalid = sum("\udc80" <= c <= "\udcff" for c in text)
    good = sum(c > "\x7f" for c in text) - invalid
    lines = text.split("\n")
    bad_lines = sum(any("\udc80" <= c <= "\udcff" for c in line) for line in lines)
    return good >= invalid or (bad_lines == 1 and len(lines) > MANY_LINES)


def _legacy_encoding(head: bytes) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(head).best()
    return codecs.lookup(best.encoding).name if best else None


def open_text(chunks: Iterator[bytes]) -> tuple[io.BufferedReader, str]:
    """A stream without byte-order mark, and the encoding that its lines are in.

    UTF-16 and UTF-32 are turned into UTF-8 on the way, because a line feed cannot be found in
    their bytes; lone surrogates in them come out as invalid UTF-8 and cost their line.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    encoding = detect_encoding(head[:HEAD_BYTES])
    mark = next((mark for mark, name in BOMS if name == encoding and head.startswith(mark)), b"")
    rest: Iterator[bytes] = chain([head[len(mark) :]], chunks)
    if encoding.startswith(("utf-16", "utf-32")):
        rest, encoding = _to_utf8(rest, encoding), "utf-8"
    return io.BufferedReader(ByteStream(rest), HEAD_BYTES), encoding


def open_bytes(chunks: Iterator[bytes]) -> io.BufferedReader:
    """A stream of the bytes as they are, for formats that name their encoding themselves."""
    return io.BufferedReader(ByteStream(chunks), HEAD_BYTES)


def _to_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield b"\xff"  # the file ends inside a character


def lines(stream: io.BufferedReader, encoding: str, max_bytes: int) -> Iterator[Line]:
    """The lines of a stream, split at line feeds alone, in bounded memory.

    A line over `max_bytes` is skipped and reported; an undecodable one has U+FFFD in place
    of the bad bytes. U+2028, U+0085 and lone carriage returns end no line.
    """
    number = 0
    while raw := stream.readline(max_bytes):
        if len(raw) == max_bytes and not raw.endswith(b"\n"):
            _skip_line(stream)
            yield Line(number, "", f"line is longer than {max_bytes:,} bytes")
        else:
            yield _decode(number, raw, encoding)
        number += 1


def _skip_line(stream: io.BufferedReader) -> None:
    while (rest := stream.readline(1 << 20)) and not rest.endswith(b"\n"):
        pass


def _decode(number: int, raw: bytes, encoding: str) -> Line:
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return Line(number, raw.decode(encoding))
    except UnicodeDecodeError as error:
        reason = f"the line is not {encoding}: {error.reason} at byte {error.start}"
        return Line(number, raw.decode(encoding, errors="replace"), reason)
