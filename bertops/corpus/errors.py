"""What can be wrong with a source as a whole. A bad row is no error: it goes to quarantine."""

from collections.abc import Sequence

from bertops.errors import BertopsError


class SourceMissing(BertopsError):
    """Nothing is where a source should be."""

    def __init__(self, source: str, place: str) -> None:
        self.source, self.place = source, place
        super().__init__(
            f"source {source!r}: nothing found at {place}. "
            f"Correct `path` or `hub` of this source under corpus.sources in params.yaml."
        )


class FolderLinked(BertopsError):
    """Folders of a source lie elsewhere, where DVC would not see that they change."""

    def __init__(self, source: str, links: Sequence[str]) -> None:
        self.source, self.links = source, tuple(links)
        super().__init__(
            f"source {source!r}: {', '.join(links[:3])} {'…' * (len(links) > 3)}is a link to a "
            "folder, which DVC does not follow. Give the folder behind it as a source of its own."
        )


class SourceEmpty(BertopsError):
    """A source was read and gave no document."""

    def __init__(self, source: str, place: str, quarantined: int, filtered: int) -> None:
        self.source, self.place = source, place
        self.quarantined, self.filtered = quarantined, filtered
        super().__init__(
            f"source {source!r}: no document in {place} "
            f"({quarantined} rows unreadable, {filtered} not chosen by `where`). "
            "See data/quarantine for the unreadable ones, and check `where` and `text_column`."
        )


class ColumnMissing(BertopsError):
    """A table has no column of the name that params.yaml gives."""

    def __init__(self, source: str, file: str, column: str, found: Sequence[str]) -> None:
        self.source, self.file, self.column, self.found = source, file, column, tuple(found)
        super().__init__(
            f"source {source!r}: {file} has no column {column!r}; it has {', '.join(found)}. "
            "Set `text_column`, `id_column`, `meta_columns` or `where` of this source accordingly."
        )


class FormatUnknown(BertopsError):
    """No reader for this kind of file."""

    def __init__(self, source: str, file: str, known: Sequence[str]) -> None:
        self.source, self.file, self.known = source, file, tuple(known)
        super().__init__(
            f"source {source!r}: cannot read {file}: expected one of {', '.join(known)}, "
            "plain or compressed. Convert it, or narrow `path` to the files that are text."
        )
