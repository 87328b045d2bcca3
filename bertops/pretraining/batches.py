"""Place in the order of rows → the arrays to train on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers.models import WordPiece

from bertops.errors import BertopsError, UsageError
from bertops.pretraining.masking import IGNORE_INDEX, MaskingVocab, mask_rows, targets_in
from bertops.pretraining.order import RowOrder
from bertops.pretraining.packing import plan_rows
from bertops.pretraining.pairs import PairRows
from bertops.pretraining.params import MaskingParams, PretrainingParams
from bertops.pretraining.rows import PackedRows, Rows
from bertops.pretraining.store import TokenStore
from bertops.tokenizer.load import Vocab, load_tokenizer, load_vocab


class TokenizerMismatch(BertopsError):
    """A token store was written with another tokenizer than the one given."""

    def __init__(self, store: Path, tokenizer: Path) -> None:
        self.store, self.tokenizer = store, tokenizer
        super().__init__(
            f"{store} was not written with the tokenizer in {tokenizer}: their hashes differ. "
            "Run the `tokenize` stage again."
        )


class WordsUnknown(UsageError):
    """Whole words are to be hidden, and nothing tells where they begin."""

    def __init__(self, tokenizer: Path) -> None:
        super().__init__(
            f"pretraining.masking.whole_words: the tokenizer in {tokenizer} is no WordPiece, whose "
            "## tells the pieces of a word. Set whole_words to false."
        )


@dataclass(frozen=True)
class RowBatch:
    """Some rows, ready to be predicted. B rows, L tokens of a row, P places to predict."""

    inputs_BL: NDArray[np.int64]
    documents_BL: NDArray[np.int32]
    positions_BL: NDArray[np.int64]
    types_BL: NDArray[np.int64] | None
    follows_B: NDArray[np.int64] | None
    """These four as in RowArrays."""
    places_P: NDArray[np.int64]
    """Where to predict: indices into the flattened rows. P depends on B, L and the rate alone;
    places that are left over point at 0 and have the label IGNORE_INDEX."""
    labels_P: NDArray[np.int64]
    tokens: int
    """Tokens that are not padding."""
    targets: int
    """Places with a label."""


@dataclass(frozen=True)
class Source:
    """Where rows come from: a token store, its rows and its tokenizer."""

    store: TokenStore
    rows: Rows
    vocab: Vocab
    masking_vocab: MaskingVocab

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.rows.row_tokens)

    @property
    def tokens_per_row(self) -> float:
        """Tokens in a row that are not padding, on average."""
        return float(self.rows.row_tokens.sum()) / max(self.count, 1)

    @property
    def fill_rate(self) -> float:
        """Share of all positions that hold a token and not padding, 0 to 1."""
        return self.tokens_per_row / self.rows.row_length


def open_source(store: Path, tokenizer: Path, params: PretrainingParams, seed: int) -> Source:
    """Open a token store and plan its rows.

    Args:
        seed: decides the sentence pairs; packed rows do not depend on it.

    Raises:
        StoreDamaged: the store is incomplete.
        TokenizerMismatch: it was written with another tokenizer.
        TooFewDocuments: sentence pairs are wanted of a single document.
    """
    opened, vocab = TokenStore(store), load_vocab(tokenizer)
    if opened.manifest.tokenizer_sha256 != vocab.sha256:
        raise TokenizerMismatch(store, tokenizer)
    wordpiece = isinstance(load_tokenizer(tokenizer).model, WordPiece)
    if params.masking.whole_words and not (wordpiece or opened.knows_words):
        raise WordsUnknown(tokenizer)
    length = params.packing.row_length
    rows: Rows
    if params.objective == "mlm_nsp":
        rows = PairRows(opened, vocab, length, seed)
    else:
        rows = PackedRows(opened, plan_rows(np.asarray(opened.boundaries), length), vocab)
    return Source(opened, rows, vocab, _masking_vocab(vocab))


def _masking_vocab(vocab: Vocab) -> MaskingVocab:
    continues = np.zeros(vocab.size, dtype=np.bool_)
    continues[[id for piece, id in vocab.pieces.items() if piece.startswith("##")]] = True
    ordinary = np.setdiff1d(np.arange(vocab.size), vocab.special)
    return MaskingVocab(mask=vocab.mask, ordinary=ordinary, continues=continues)


class Batches:
    """The rows of a source in an endless order, masked: a pure function of (seed, place)."""

    def __init__(self, source: Source, masking: MaskingParams, seed: int) -> None:
        self.source, self.masking, self.seed = source, masking, seed
        self.order = RowOrder(source.count, seed)
        most = source.rows.row_length - source.rows.specials
        self._targets_per_row = int(targets_in(most, masking.rate))

    def at(self, place: int, count: int) -> RowBatch:
        """The `count` rows from `place` on in the endless order of rows."""
        epochs_B, rows_B = self.order.at(place, count)
        return self.build(epochs_B, rows_B)

    def tokens(self, place: int, count: int) -> int:
        """Tokens that are not padding in the `count` rows from `place` on."""
        return int(self.source.rows.row_tokens[self.order.at(place, count)[1]].sum())

    def build(self, epochs_B: NDArray[np.int64], rows_B: NDArray[np.int64]) -> RowBatch:
        """These rows, masked as in these epochs."""
        rows = self.source.rows.lay_out(rows_B)
        inputs_BL, labels_BL = mask_rows(
            rows.ids_BL,
            ~np.isin(rows.ids_BL, self.source.vocab.special),
            (self.seed, epochs_B, rows_B),
            self.masking,
            self.source.masking_vocab,
            rows.continues_BL,
        )
        places_P, labels_P, targets = self._gather(labels_BL)
        return RowBatch(
            inputs_BL=inputs_BL,
            documents_BL=rows.documents_BL,
            positions_BL=rows.positions_BL,
            types_BL=rows.types_BL,
            follows_B=rows.follows_B,
            places_P=places_P,
            labels_P=labels_P,
            tokens=int((rows.documents_BL > 0).sum()),
            targets=targets,
        )

    def _gather(
        self, labels_BL: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """The places that have a label, their labels, and how many they are."""
        places = np.flatnonzero(labels_BL != IGNORE_INDEX)
        places_P = np.zeros(len(labels_BL) * self._targets_per_row, dtype=np.int64)
        labels_P = np.full(len(places_P), IGNORE_INDEX, dtype=np.int64)
        places_P[: len(places)] = places
        labels_P[: len(places)] = labels_BL.reshape(-1)[places]
        return places_P, labels_P, len(places)
