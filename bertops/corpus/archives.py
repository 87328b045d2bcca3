"""zip and tar: their entries as files. Nothing is ever unpacked to disk.

An entry that is no plain file, or whose name would leave the archive, is reported and not read:
whoever made it did not mean well.
"""

import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, BinaryIO, Self

from bertops.corpus.encoding import ByteStream
from bertops.corpus.opening import Caps, Damaged, chunks

ARCHIVES = (".zip", ".tar", ".tgz")
UNREADABLE = (  # what the two modules raise for bytes that are no archive
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True)
class Entry:
    """One entry: its bytes, or why it is not read."""

    name: str
    file: IO[bytes] | None
    error: str | None = None
    packed_bytes: int | None = None
    """Size in the archive, where each entry is packed by itself."""


def entries(file: BinaryIO, suffix: str, compression: str, caps: Caps) -> Iterator[Entry]:
    """The entries of an archive, in its order; each must be read before the next is asked for.

    Raises:
        Damaged: the rest of the archive cannot be read.
    """
    if suffix == ".zip":
        yield from _zip_entries(file)
    else:
        packed = ".gz" if suffix == ".tgz" else compression
        yield from _tar_entries(ByteStream(chunks(file, packed, caps)))


def _zip_entries(file: BinaryIO) -> Iterator[Entry]:
    try:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
                error = _refusal(info.filename, plain=not is_link)
                yield Entry(info.filename, None, error) if error else _opened(archive, info)
    except UNREADABLE as error:
        raise Damaged(f"no readable zip: {error}") from error


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    if info.flag_bits & 1:
        return Entry(info.filename, None, "the entry is encrypted")
    try:
        return Entry(info.filename, archive.open(info), None, info.compress_size)
    except UNREADABLE as error:
        return Entry(info.filename, None, f"no readable entry: {error}")


class _Header(tarfile.TarInfo):
    """A header of a tar. The module takes one that is damaged or cut off for the end; here it is
    an error, for there is a mark at the end of a whole archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the mark
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _tar_entries(stream: ByteStream) -> Iterator[Entry]:
    try:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:
            for info in archive:
                if info.isdir():
                    continue
                error = _refusal(info.name, plain=info.isreg())
                yield Entry(info.name, None if error else archive.extractfile(info), error)
    except UNREADABLE as error:
        raise Damaged(f"no readable tar: {error}") from error


def _refusal(name: str, *, plain: bool) -> str | None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        return "the name of the entry leaves the archive"
    return None if plain else "the entry is a link or a device, not a file"
