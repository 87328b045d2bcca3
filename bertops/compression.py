"""Compressed files: told by their last suffix, read as streams of bytes."""

import bz2
import contextlib
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


# 128 MiB: what `zstd --long=27` writes. A larger window would be a memory bomb.
ZSTD_WINDOW = {int(zstd.DecompressionParameter.window_log_max): 27}

DECOMPRESS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".zst": lambda file: zstd.ZstdFile(file, options=ZSTD_WINDOW),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}


DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error, zstd.ZstdError)
"""What reading a compressed file raises that is cut off, or no such thing at all."""


def split_suffix(name: str) -> tuple[str, str]:
    """Suffix of the format and of the compression: `a/b.jsonl.gz` → (`.jsonl`, `.gz`)."""
    path = PurePosixPath(name)
    last = path.suffix.lower()
    if last in DECOMPRESS:
        return PurePosixPath(path.stem).suffix.lower(), last
    return last, ""


@contextlib.contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """What is in a file, decompressed if its suffix says that it is compressed.

    Reading raises one of `DAMAGE` where the file is damaged.
    """
    _, compression = split_suffix(path.name)
    with path.open("rb") as file:
        yield DECOMPRESS[compression](file) if compression else file
