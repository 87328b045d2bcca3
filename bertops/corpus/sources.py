"""Sources → records: which files a source is, and every row of them in a stable order."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from bertops.compression import split_suffix
from bertops.corpus.archives import ARCHIVES, Entry, entries
from bertops.corpus.datasets import read_hub, read_parquet
from bertops.corpus.encoding import open_bytes, open_text
from bertops.corpus.errors import FolderLinked, FormatUnknown, SourceMissing
from bertops.corpus.formats import BYTE_READERS, SUFFIXES, TABLE, TEXT_READERS
from bertops.corpus.opening import Caps, Damaged, chunks
from bertops.corpus.params import SourceParams
from bertops.corpus.readers import Fault, Record, Text


@dataclass(frozen=True)
class Item:
    """One record or fault, and the file that it is from."""

    file: str
    found: Record | Fault


def read_source(source: SourceParams, root: Path) -> Iterator[Item]:
    """Every record of a source, files in the order of their names.

    Raises:
        SourceMissing: nothing is there.
        FormatUnknown: a file that no reader knows.
        ColumnMissing: a table without a column that params.yaml names.
    """
    if source.hub is not None:
        yield from (Item(source.hub, found) for found in read_hub(source, source.hub, root))
    elif "://" in str(source.path):
        yield from _read_remote(source)
    else:
        for file in find_files(source, root):
            yield from read_file(file, label(file, root), source)


def label(file: Path, root: Path) -> str:
    """How a file is named in every table: relative to the project where it lies inside."""
    place = file.relative_to(root) if file.is_relative_to(root) else file
    return printable(place.as_posix())


def printable(name: str) -> str:
    """`name` with the bytes that are no UTF-8, which a name may have, as `\\xe9`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def find_files(source: SourceParams, root: Path) -> list[Path]:
    """The files of a source, sorted by name: a file, all readable ones of a folder, or a glob.

    A file that is named, alone or by a glob, must be readable. In a folder, other files are passed
    over, and so are those that tell about the folder: README and LICENSE.

    Raises:
        SourceMissing: there is no such file.
        FolderLinked: the folder has links to other folders in it.
    """
    assert source.pattern is not None
    place = root / source.pattern
    if place.is_dir():
        found = [path for path in place.rglob("*") if path.is_file() and _known(path.name)]
    elif place.is_file():
        found = [place]
    else:
        found = list(_glob(root, source.pattern))
    files = sorted(path for path in found if path.is_file())
    below = (root / source.path).rglob("*") if source.path else ()
    if links := [label(path, root) for path in below if path.is_symlink() and path.is_dir()]:
        raise FolderLinked(source.name, sorted(links))
    if not files:
        raise SourceMissing(source.name, source.pattern)
    return files


def _glob(root: Path, pattern: str) -> Iterator[Path]:
    """Files of a glob, which may be an absolute one; `**` stands for any number of folders."""
    anchor = Path(pattern).anchor
    yield from Path(anchor or root).glob(pattern.removeprefix(anchor))


def _known(name: str) -> bool:
    about = name.startswith(".") or name.lower().startswith(("readme", "license", "licence"))
    return split_suffix(name)[0] in SUFFIXES and not about


def _read_remote(source: SourceParams) -> Iterator[Item]:
    """Files at an fsspec address like `s3://bucket/texts/*.jsonl.gz`, streamed."""
    import fsspec

    assert source.pattern is not None
    system, place = fsspec.url_to_fs(source.pattern)
    files = _find_remote(system, place)
    if not files:
        raise SourceMissing(source.name, source.pattern)
    for path in files:
        with system.open(path, "rb") as file:
            yield from read_stream(file, printable(path), source)


def _find_remote(system: Any, place: str) -> list[str]:
    """As `find_files`: a file, all readable ones of a folder, or a glob; sorted by name."""
    if "*" in place:
        found = system.glob(place, detail=True)
        return sorted(path for path, about in found.items() if about["type"] == "file")
    if system.isfile(place):
        return [place]
    return sorted(path for path in system.find(place) if _known(path.rpartition("/")[2]))


def read_file(path: Path, name: str, source: SourceParams) -> Iterator[Item]:
    """Every record of one file; a file that changes while it is read is reported as such."""
    before = path.stat()
    if split_suffix(path.name) == (TABLE, ""):
        yield from (Item(name, found) for found in read_parquet(path, name, source))
    else:
        with path.open("rb") as file:
            yield from read_stream(file, name, source)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        yield Item(name, Fault(-1, "the file changed while it was read: run ingest again"))


def read_stream(file: BinaryIO, name: str, source: SourceParams) -> Iterator[Item]:
    """Every record of an open file. Damage in the middle keeps what came before it.

    Raises:
        FormatUnknown: no reader knows the suffix of `name`.
    """
    suffix, compression = split_suffix(name)
    if suffix in ARCHIVES:
        yield from _read_archive(file, name, suffix, compression, source)
    elif (suffix, compression) == (TABLE, ""):
        yield from (Item(name, found) for found in read_parquet(file, name, source))
    elif suffix in SUFFIXES:
        yield from _read_one(file, name, source)
    else:
        raise FormatUnknown(source.name, name, SUFFIXES)


def _read_archive(
    file: BinaryIO, name: str, suffix: str, compression: str, source: SourceParams
) -> Iterator[Item]:
    try:
        for entry in entries(file, suffix, compression, _caps(source)):
            yield from _read_entry(entry, f"{name}!{printable(entry.name)}", source)
    except Damaged as damage:
        yield Item(name, Fault(0, f"the rest of the archive is not readable: {damage}"))


def _read_entry(entry: Entry, name: str, source: SourceParams) -> Iterator[Item]:
    """Entries of other formats are passed over, as other files in a folder are."""
    suffix, _ = split_suffix(entry.name)
    if entry.file is None:
        yield Item(name, Fault(0, str(entry.error)))
    elif suffix in ARCHIVES:
        yield Item(name, Fault(0, f"{suffix} inside an archive is not read: unpack it"))
    elif suffix in SUFFIXES:
        yield from _read_one(entry.file, name, source, entry.packed_bytes)


def _read_one(
    file: IO[bytes], name: str, source: SourceParams, packed_bytes: int | None = None
) -> Iterator[Item]:
    """Records of one file; the last row before damage may be cut, and is reported with it."""
    suffix, compression = split_suffix(name)
    damage: list[Damaged] = []
    unpacked = _until_damage(chunks(file, compression, _caps(source), packed_bytes), damage)
    last: Record | Fault | None = None
    for found in _rows(unpacked, suffix, name, source):
        if last is not None:
            yield Item(name, last)
        last = found
    if damage:
        row = last.row if last is not None else 0
        last = Fault(row, f"the file is not readable from this row on: {damage[0]}")
    if last is not None:
        yield Item(name, last)


def _rows(
    unpacked: Iterator[bytes], suffix: str, name: str, source: SourceParams
) -> Iterator[Record | Fault]:
    if suffix == TABLE:
        yield from _spooled(unpacked, name, source)
    elif suffix in BYTE_READERS:
        yield from BYTE_READERS[suffix](Text(name, open_bytes(unpacked), ""), source)
    else:
        yield from TEXT_READERS[suffix](Text(name, *open_text(unpacked)), source)


def _spooled(
    unpacked: Iterator[bytes], name: str, source: SourceParams
) -> Iterator[Record | Fault]:
    """Rows of a packed Parquet file, which says at its end where they are: unpacked to disk."""
    with tempfile.TemporaryFile() as file:
        file.writelines(unpacked)
        file.seek(0)
        yield from read_parquet(file, name, source)


def _until_damage(unpacked: Iterator[bytes], damage: list[Damaged]) -> Iterator[bytes]:
    """What can be read; the damage that ends it is noted."""
    try:
        yield from unpacked
    except Damaged as found:
        damage.append(found)


def _caps(source: SourceParams) -> Caps:
    return Caps(source.max_file_bytes, source.max_ratio)
