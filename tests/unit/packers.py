"""What writes each kind of compressed file, by suffix."""

import bz2
import gzip
import lzma

from bertops.compression import zstd

PACKERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}
