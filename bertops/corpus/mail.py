"""mbox: mails, their readable part as text. Source of the format: RFC 4155, "mboxrd" quoting."""

import email
import email.policy
import io
import re
from collections.abc import Iterator
from email.message import EmailMessage

from bertops.corpus.params import SourceParams
from bertops.corpus.readers import Fault, Record, Text

SEPARATOR = b"From "
QUOTED_SEPARATOR = re.compile(rb"^>(>*From )", re.MULTILINE)


def read_mbox(file: Text, source: SourceParams) -> Iterator[Record | Fault]:
    """One document for each mail: its plain part, else the main text of its HTML part.

    Columns: the text, `id` (Message-ID), `subject`, `date`.
    """
    for row, raw in enumerate(_mails(file.stream, source.max_document_bytes)):
        if raw is None:
            yield Fault(row, f"the mail is longer than {source.max_document_bytes:,} bytes")
            continue
        try:
            mail = email.message_from_bytes(raw, policy=email.policy.default)
            assert isinstance(mail, EmailMessage)
            yield _mail(row, mail, source)
        except (LookupError, ValueError, AttributeError, IndexError) as error:
            yield Fault(row, f"no readable mail: {error}", raw[:200].decode("utf-8", "replace"))


def _mails(stream: io.BufferedReader, max_bytes: int) -> Iterator[bytes | None]:
    """Raw mails; None for one over the limit."""
    lines, size, after_blank, begun = list[bytes](), 0, True, False
    for line in iter(lambda: stream.readline(1 << 20), b""):
        if after_blank and line.startswith(SEPARATOR):
            if begun:
                yield _joined(lines, size, max_bytes)
            lines, size, begun = [], 0, True
        else:
            size += len(line)
            if size <= max_bytes:
                lines.append(line)
        after_blank = not line.strip()
    if begun or lines:
        yield _joined(lines, size, max_bytes)


def _joined(lines: list[bytes], size: int, max_bytes: int) -> bytes | None:
    return QUOTED_SEPARATOR.sub(rb"\1", b"".join(lines)) if size <= max_bytes else None


def _mail(row: int, mail: EmailMessage, source: SourceParams) -> Record | Fault:
    body = mail.get_body(("plain", "html"))
    if body is None:
        return Fault(row, "the mail has no readable part", str(mail.get("subject", "")))
    text = str(body.get_content())
    if body.get_content_subtype() == "html":
        from bertops.corpus.web import main_text

        text = main_text(text.encode()) or ""
    columns = {
        source.text_column: text,
        "id": str(mail.get("message-id", "")),
        "subject": str(mail.get("subject", "")),
        "date": str(mail.get("date", "")),
    }
    return Record(row, columns)
