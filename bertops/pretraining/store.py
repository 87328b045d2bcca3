"""The token store: flat ids on disk, memory-mapped, with document boundaries."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertops.errors import BertopsError
from bertops.storage import hash_file, read_json, write_json

INDEX = "documents.npy"
MANIFEST = "manifest.json"


class StoreDamaged(BertopsError):
    """A token store is missing, incomplete or not what its manifest says."""

    def __init__(self, directory: Path, why: str) -> None:
        self.directory = directory
        super().__init__(f"{directory}: {why}. Run the `tokenize` stage again.")


@dataclass(frozen=True)
class Manifest:
    """What a token store holds and how to check it."""

    dtype: str
    """uint16, or uint32 for vocabularies above 65,535 ids."""
    vocab_size: int
    tokenizer_sha256: str
    documents: int
    tokens: int
    shards: list[str]
    """Token files in order; a document lies in one of them."""
    shard_tokens: list[int]
    files: dict[str, str]
    """sha256 of each file beside the manifest."""
    words: list[str] = field(default_factory=list)
    """For each token file, the one that tells for each token whether it continues a word, as bool;
    empty where no segmenter cut the text into words."""


class TokenStore:
    """Documents as runs of token ids, without special tokens, in the order of the corpus.

    Positions count tokens from the start of the store, across its shards.
    """

    def __init__(self, directory: Path) -> None:
        """Open `directory`; files are mapped, not read.

        Raises:
            StoreDamaged: a file is missing or has another size than the manifest says.
        """
        self.directory = directory
        if not (directory / MANIFEST).is_file():
            raise StoreDamaged(directory, f"no {MANIFEST}, so no complete token store")
        self.manifest = Manifest(**read_json(directory / MANIFEST))
        self._starts = np.cumsum([0, *self.manifest.shard_tokens])
        self._shards = self._map_all(self.manifest.shards, self.manifest.dtype)
        self._words = self._map_all(self.manifest.words, "bool")

    def _map_all(self, names: list[str], dtype: str) -> list[NDArray[Any]]:
        sizes = self.manifest.shard_tokens[: len(names)]
        return [self._map(*file, np.dtype(dtype)) for file in zip(names, sizes, strict=True)]

    def _map(self, name: str, tokens: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        path = self.directory / name
        expected = tokens * dtype.itemsize
        found = path.stat().st_size if path.is_file() else 0
        if found != expected:
            raise StoreDamaged(self.directory, f"{name} has {found} bytes, expected {expected}")
        if not tokens:
            return np.empty(0, dtype=dtype)  # an empty file cannot be mapped
        return np.memmap(path, dtype=dtype, mode="r", shape=(tokens,))

    @cached_property
    def boundaries(self) -> NDArray[np.int64]:
        """Position of the first token of each document, and the end: documents + 1 numbers."""
        path = self.directory / INDEX
        if not path.is_file():
            raise StoreDamaged(self.directory, f"no {INDEX}")
        return np.load(path, mmap_mode="r", allow_pickle=False)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each document."""
        return np.diff(self.boundaries)

    def read(self, start: int, length: int) -> NDArray[np.unsignedinteger]:
        """`length` ids from position `start`, all of one document; a view, not a copy."""
        return self._view(self._shards, start, length)

    @property
    def knows_words(self) -> bool:
        """Whether a segmenter cut the text into words."""
        return bool(self._words)

    def continues_word(self, start: int, length: int) -> NDArray[np.bool_]:
        """For the tokens that `read` gives, whether each continues the word before it."""
        return self._view(self._words, start, length)

    def _view(self, shards: list[NDArray[Any]], start: int, length: int) -> NDArray[Any]:
        # Of a document without tokens at the very end, the start is that of no shard.
        shard = min(int(np.searchsorted(self._starts, start, side="right")), len(shards)) - 1
        offset = start - int(self._starts[shard])
        return shards[shard][offset : offset + length]

    def verify(self) -> None:
        """Read every file and compare its sha256 with the manifest.

        Raises:
            StoreDamaged: one differs.
        """
        for name, expected in self.manifest.files.items():
            if hash_file(self.directory / name) != expected:
                raise StoreDamaged(self.directory, f"the sha256 of {name} is not the manifest's")


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Put the manifest beside the files it describes; the last step of writing a store."""
    write_json(directory / MANIFEST, manifest.__dict__)
