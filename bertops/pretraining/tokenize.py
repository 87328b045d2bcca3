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
from bertops.pretraining.params import Segmenter, TokenizeParams
from bertops.pretraining.store import INDEX, Manifest, TokenStore, write_manifest
from bertops.pretraining.words import continues_word, cut_words
from bertops.progress import progress
from bertops.storage import hash_file, remove, write_whole
from bertops.tokenizer.load import Vocab, load_tokenizer, load_vocab
from bertops.tokenizer.texts import NoDocuments, count_texts, list_parts, read_part, read_texts

# Characters handed to the tokenizer at once: enough to feed every core, little enough that
# their encodings (about 100 bytes a token) stay well under a gigabyte.
BATCH_CHARACTERS = 4_000_000

TOKENS, WORDS = "tokens-{:05d}.bin", "words-{:05d}.bin"
"""Names of the files of a shard."""

Ids = Sequence[int] | NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Encoded:
    """One document of T tokens."""

    ids: Ids
    continues: NDArray[np.bool_] | None = None
    """Whether each token continues the word before it; None without a segmenter."""


@dataclass(frozen=True)
class Encoder:
    """From texts to tokens, by threads of this process."""

    tokenizer: Tokenizer
    segmenter: Segmenter | None

    @classmethod
    def opened(cls, tokenizer: Path, segmenter: Segmenter | None) -> "Encoder":
        """The tokenizer of a Hugging Face directory."""
        fast = load_tokenizer(tokenizer)
        fast.encode_special_tokens = True  # "[MASK]" in a document is text, not our mask
        return cls(fast, segmenter)

    def encode(self, texts: list[str]) -> Iterator[Encoded]:
        """The documents in their order, without special tokens at their ends."""
        if self.segmenter is None:
            for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False):
                yield Encoded(encoding.ids)
            return
        encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        for text, encoding in zip(texts, encodings, strict=True):
            words = cut_words(text, self.segmenter)
            yield Encoded(encoding.ids, continues_word(text, encoding.offsets, words))


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
        PackageMissing: the segmenter is not installed.
    """
    vocab = load_vocab(tokenizer)
    splits = {}
    with write_whole(target) as partial:
        for split in ("train", "validation"):
            place, pieces = corpus / split, partial / "pieces"
            _refuse_empty(place, required=split == "train")
            if parallel is not None and parallel.engine == "ray":
                documents = _encode_on_ray(place, tokenizer, pieces, params, parallel)
            else:
                documents = _encode(place, Encoder.opened(tokenizer, params.segmenter))
            manifest = _write_store(documents, partial / split, vocab, params)
            splits[split] = StoreSummary(manifest.documents, manifest.tokens, manifest.files)
            remove(pieces)
    return TokenizeReport(manifest.dtype, vocab.sha256, splits)


def _refuse_empty(corpus: Path, required: bool) -> None:
    if required and not count_texts(corpus):
        raise NoDocuments(corpus, "nothing to tokenize")


def _encode(corpus: Path, encoder: Encoder) -> Iterator[Encoded]:
    """Every document, by threads of this process."""
    total = count_texts(corpus)
    if not total:
        return
    with progress(what=f"tokenizing {corpus.name}", total=total, unit="doc") as bar:
        for texts in batches_of(read_texts(corpus), BATCH_CHARACTERS):
            yield from encoder.encode(texts)
            bar.update(len(texts))


def _encode_on_ray(
    corpus: Path, tokenizer: Path, pieces: Path, params: TokenizeParams, parallel: ParallelParams
) -> Iterator[Encoded]:
    """Every document, by a Ray task for each file, which leaves a token store in `pieces`."""
    tasks = [(part, tokenizer, pieces / part.stem, params) for part in list_parts(corpus)]
    run_tasks(encode_part, tasks, parallel, f"tokenizing {corpus.name}")
    for _, _, piece, _ in tasks:
        store = TokenStore(piece)
        for start, end in itertools.pairwise(store.boundaries.tolist()):
            words = store.continues_word(start, end - start) if store.knows_words else None
            yield Encoded(store.read(start, end - start), words)


def encode_part(part: Path, tokenizer: Path, target: Path, params: TokenizeParams) -> None:
    """Write the token store of one file of a corpus."""
    encoder = Encoder.opened(tokenizer, params.segmenter)
    batches = map(encoder.encode, batches_of(read_part(part), BATCH_CHARACTERS))
    with write_whole(target) as partial:
        documents = itertools.chain.from_iterable(batches)
        _write_store(documents, partial, load_vocab(tokenizer), params)


def _write_store(
    documents: Iterable[Encoded], directory: Path, vocab: Vocab, params: TokenizeParams
) -> Manifest:
    dtype = "uint16" if vocab.size <= 2**16 - 1 else "uint32"
    writer = StoreWriter(directory, dtype, params.shard_tokens)
    for document in documents:
        writer.add(document.ids, document.continues)
    return writer.close(vocab.size, vocab.sha256)


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
        self._sizes: list[int] = []
        self._words = False

    def add(self, ids: Ids, continues: NDArray[np.bool_] | None = None) -> None:
        """Append one document, and which of its tokens continue a word; of all or of none."""
        if not self._sizes or self._sizes[-1] + len(ids) > max(self._limit, len(ids)):
            self._sizes.append(0)
        shard = len(self._sizes) - 1
        self._append(TOKENS.format(shard), np.asarray(ids, dtype=self._dtype))
        if continues is not None:
            self._append(WORDS.format(shard), continues)
            self._words = True
        self._sizes[-1] += len(ids)
        self._boundaries.append(self._boundaries[-1] + len(ids))

    def _append(self, name: str, values: NDArray[Any]) -> None:
        with (self._directory / name).open("ab") as file:
            file.write(values.tobytes())

    def close(self, vocab_size: int, tokenizer_sha256: str) -> Manifest:
        """Write index and manifest; the store is complete."""
        np.save(self._directory / INDEX, np.asarray(self._boundaries, dtype=np.int64))
        shards = [TOKENS.format(shard) for shard in range(len(self._sizes))]
        words = [WORDS.format(shard) for shard in range(len(self._sizes))] if self._words else []
        manifest = Manifest(
            dtype=self._dtype,
            vocab_size=vocab_size,
            tokenizer_sha256=tokenizer_sha256,
            documents=len(self._boundaries) - 1,
            tokens=self._boundaries[-1],
            shards=shards,
            shard_tokens=self._sizes,
            words=words,
            files={n: hash_file(self._directory / n) for n in [*shards, *words, INDEX]},
        )
        write_manifest(self._directory, manifest)
        return manifest
