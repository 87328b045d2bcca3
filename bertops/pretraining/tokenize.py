"""Text → token store. Same corpus and tokenizer, same bytes, for any engine and number of threads.

On one machine the tokenizer's own threads use every core. On a Ray cluster each file of the corpus
is a task of its own, and what the tasks wrote is put together in order.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bertops.parallel import ParallelParams, run_tasks
from bertops.pretraining.params import TokenizeParams
from bertops.pretraining.store import INDEX, Manifest, write_manifest
from bertops.progress import progress
from bertops.storage import hash_file, remove, write_whole
from bertops.tokenizer.load import load_tokenizer, load_vocab
from bertops.tokenizer.texts import NoDocuments, count_texts, list_parts, read_part, read_texts

# Characters handed to the tokenizer at once: enough to feed every core, little enough that
# their encodings (about 100 bytes a token) stay well under a gigabyte.
BATCH_CHARACTERS = 4_000_000

Ids = Sequence[int] | NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class StoreSummary:
    """Size and identity of one token store."""

    documents: int
    tokens: int
    sha256: dict[str, str]
    """Of each file, by name."""


@dataclass(frozen=True)
class TokenizeReport:
    """What was tokenized, by split."""

    dtype: str
    tokenizer_sha256: str
    splits: dict[str, StoreSummary]

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


def tokenize_corpus(
    corpus: Path,
    tokenizer: Path,
    target: Path,
    params: TokenizeParams,
    parallel: ParallelParams | None = None,
) -> TokenizeReport:
    """Turn `corpus`/train and `corpus`/validation into token stores under `target`.

    A tokenizer's own threads do the work (RAYON_NUM_THREADS limits them); the order of the
    documents, and so every byte, is that of the corpus. A corpus without validation documents
    gives an empty validation store.

    Args:
        parallel: where the work is done; only the engine `ray` hands it to other processes.

    Raises:
        NoDocuments: there is nothing to train on.
        TokenizerUnusable: the tokenizer cannot be read.
    """
    vocab = load_vocab(tokenizer)
    dtype = "uint16" if vocab.size <= 2**16 - 1 else "uint32"
    splits = {}
    with write_whole(target) as partial:
        for split in ("train", "validation"):
            place, pieces = corpus / split, partial / "pieces"
            _refuse_empty(place, required=split == "train")
            documents: Iterator[Ids]
            if parallel is not None and parallel.engine == "ray":
                documents = _encode_on_ray(place, tokenizer, dtype, pieces, parallel)
            else:
                documents = _encode(place, _load(tokenizer))
            writer = StoreWriter(partial / split, dtype, params.shard_tokens)
            for ids in documents:
                writer.add(ids)
            manifest = writer.close(vocab.size, vocab.sha256)
            splits[split] = StoreSummary(manifest.documents, manifest.tokens, manifest.files)
            remove(pieces)
    return TokenizeReport(dtype, vocab.sha256, splits)


def _refuse_empty(corpus: Path, required: bool) -> None:
    if required and not count_texts(corpus):
        raise NoDocuments(corpus, "nothing to tokenize")


def _load(tokenizer: Path) -> Tokenizer:
    fast = load_tokenizer(tokenizer)
    fast.encode_special_tokens = True  # "[MASK]" in a document is text, not our mask
    return fast


def _encode(corpus: Path, tokenizer: Tokenizer) -> Iterator[list[int]]:
    """Ids of each document, by threads of this process."""
    total = count_texts(corpus)
    if not total:
        return
    with progress(what=f"tokenizing {corpus.name}", total=total, unit="doc") as bar:
        for texts in batches_of(read_texts(corpus), BATCH_CHARACTERS):
            yield from _encode_batch(texts, tokenizer)
            bar.update(len(texts))


def _encode_batch(texts: list[str], tokenizer: Tokenizer) -> Iterator[list[int]]:
    for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
        yield encoding.ids


def _encode_on_ray(
    corpus: Path, tokenizer: Path, dtype: str, pieces: Path, parallel: ParallelParams
) -> Iterator[NDArray[np.unsignedinteger]]:
    """Ids of each document, by a Ray task for each file, which leaves them in a folder."""
    tasks = [(part, tokenizer, dtype, pieces / part.stem) for part in list_parts(corpus)]
    run_tasks(encode_part, tasks, parallel, f"tokenizing {corpus.name}")
    for *_, piece in tasks:
        ids = np.load(piece / "ids.npy", mmap_mode="r", allow_pickle=False)
        ends = np.load(piece / "ends.npy", allow_pickle=False).tolist()
        for start, end in itertools.pairwise([0, *ends]):
            yield ids[start:end]


def encode_part(part: Path, tokenizer: Path, dtype: str, target: Path) -> None:
    """Write the ids of one file of a corpus, and where each document ends."""
    fast = _load(tokenizer)
    batches = (_encode_batch(t, fast) for t in batches_of(read_part(part), BATCH_CHARACTERS))
    documents = [np.asarray(ids, dtype=dtype) for batch in batches for ids in batch]
    with write_whole(target) as partial:
        partial.mkdir()
        np.save(partial / "ids.npy", np.concatenate([np.empty(0, dtype=dtype), *documents]))
        np.save(partial / "ends.npy", np.cumsum([len(d) for d in documents], dtype=np.int64))


def batches_of(texts: Iterable[str], characters: int) -> Iterator[list[str]]:
    """Lists of texts, each ended by the text that brings it to `characters` or more."""
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class StoreWriter:
    """Appends documents to a token store; only the index is held in memory."""

    def __init__(self, directory: Path, dtype: str, shard_tokens: int) -> None:
        directory.mkdir(parents=True)
        self._directory, self._dtype, self._limit = directory, dtype, shard_tokens
        self._boundaries = [0]
        self._shards: list[str] = []
        self._sizes: list[int] = []

    def add(self, ids: Ids) -> None:
        """Append one document."""
        if not self._shards or self._sizes[-1] + len(ids) > max(self._limit, len(ids)):
            self._shards.append(f"tokens-{len(self._shards):05d}.bin")
            self._sizes.append(0)
        array: NDArray[np.unsignedinteger] = np.asarray(ids, dtype=self._dtype)
        with (self._directory / self._shards[-1]).open("ab") as file:
            file.write(array.tobytes())
        self._sizes[-1] += len(ids)
        self._boundaries.append(self._boundaries[-1] + len(ids))

    def close(self, vocab_size: int, tokenizer_sha256: str) -> Manifest:
        """Write index and manifest; the store is complete."""
        np.save(self._directory / INDEX, np.asarray(self._boundaries, dtype=np.int64))
        names = [*self._shards, INDEX]
        manifest = Manifest(
            dtype=self._dtype,
            vocab_size=vocab_size,
            tokenizer_sha256=tokenizer_sha256,
            documents=len(self._boundaries) - 1,
            tokens=self._boundaries[-1],
            shards=self._shards,
            shard_tokens=self._sizes,
            files={name: hash_file(self._directory / name) for name in names},
        )
        write_manifest(self._directory, manifest)
        return manifest
