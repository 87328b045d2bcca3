"""Files as streams of bytes: plain or compressed, with caps.

Every file is an untrusted one: decompression stops at a number of bytes and at a ratio.
"""

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from bertops.compression import DAMAGE, DECOMPRESS

CHUNK_BYTES = 1 << 18
RATIO_FREE_BYTES = 16 << 20  # below this a high ratio is harmless, and common in dull text


class Damaged(Exception):
    """The rest of a file cannot be read; what came before it is good."""


@dataclass(frozen=True)
class Caps:
    """Limits that keep a hostile file from filling memory or disk."""

    max_file_bytes: int = 1 << 40
    max_ratio: float = 200.0


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
    # Where what is packed is cut off, `read` loses the last chunk; files of fsspec have no other.
    read: Callable[[int], bytes] = getattr(source, "read1", source.read)
    try:
        return read(CHUNK_BYTES)
    except (*DAMAGE, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise Damaged(str(error) or type(error).__name__) from error
