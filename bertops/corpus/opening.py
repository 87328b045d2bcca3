"""Files as streams of bytes: plain or compressed, with caps.

Every file is an untrusted one: decompression stops at a number of bytes and at a ratio.
"""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

CHUNK_BYTES = 1 << 18
RATIO_FREE_BYTES = 16 << 20  # below this a high ratio is harmless, and common in dull text


class Damaged(Exception):
    """The rest of a file cannot be read; what came before it is good."""


@dataclass(frozen=True)
class Caps:
    """Limits that keep a hostile file from filling memory or disk."""

    max_file_bytes: int = 1 << 40
    max_ratio: float = 200.0


def _open_zstd(file: IO[bytes]) -> Any:
    import zstandard

    # 128 MiB window: what `zstd --long=27` writes. Larger ones would be a memory bomb.
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    return decompressor.stream_reader(file, read_across_frames=True)


DECOMPRESS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".zst": _open_zstd,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}


def split_suffix(name: str) -> tuple[str, str]:
    """Suffix of the format and of the compression: `a/b.jsonl.gz` → (`.jsonl`, `.gz`)."""
    path = PurePosixPath(name)
    last = path.suffix.lower()
    if last in DECOMPRESS:
        return PurePosixPath(path.stem).suffix.lower(), last
    return last, ""


def chunks(
    file: IO[bytes], compression: str, caps: Caps, packed_bytes: int | None = None
) -> Iterator[bytes]:
    """What is in `file`, decompressed, a quarter of a megabyte at a time.

    Args:
        file: bytes as they are stored.
        compression: `.gz`, `.zst`, `.bz2`, `.xz`, or nothing.
        caps: where to stop.
        packed_bytes: size in the archive, for a `file` that an archive unpacks by itself.

    Raises:
        Damaged: truncated or no such compression at all, or over the caps; all chunks before
            the damage have been given.
    """
    source = DECOMPRESS[compression](file) if compression else file
    given = 0
    while chunk := _read(source):
        given += len(chunk)
        if given > caps.max_file_bytes:
            raise Damaged(f"more than {caps.max_file_bytes:,} bytes")
        if given > RATIO_FREE_BYTES and (compression or packed_bytes is not None):
            packed = file.tell() if packed_bytes is None else packed_bytes
            if given > caps.max_ratio * packed:
                raise Damaged(f"unpacks to more than {caps.max_ratio:g} times its size")
        yield chunk


def _read(source: IO[bytes]) -> bytes:
    import zstandard

    # Where what is packed is cut off, `read` loses the last chunk; files of fsspec have no other.
    read: Callable[[int], bytes] = getattr(source, "read1", source.read)
    try:
        return read(CHUNK_BYTES)
    except (
        EOFError,
        OSError,
        ValueError,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        zstandard.ZstdError,
    ) as error:
        raise Damaged(str(error) or type(error).__name__) from error
