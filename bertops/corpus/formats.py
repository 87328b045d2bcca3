"""Which reader reads what, by the suffix of a file."""

from bertops.corpus.archives import ARCHIVES
from bertops.corpus.mail import read_mbox
from bertops.corpus.readers import Reader, read_csv, read_jsonl, read_plain, read_tsv
from bertops.corpus.web import read_html, read_warc
from bertops.corpus.wiki import read_wiki

TEXT_READERS: dict[str, Reader] = {
    ".txt": read_plain,
    ".md": read_plain,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
}
"""Formats whose encoding has to be found out."""

BYTE_READERS: dict[str, Reader] = {
    ".html": read_html,
    ".htm": read_html,
    ".warc": read_warc,
    ".wet": read_warc,
    ".xml": read_wiki,
    ".mbox": read_mbox,
}
"""Formats that name their encoding themselves."""

TABLE = ".parquet"

SUFFIXES = (*TEXT_READERS, *BYTE_READERS, *ARCHIVES, TABLE)
"""Everything that can be read; all but zip also compressed."""
