"""Step number → the arrays of that step, on every rank its share."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertops.errors import BertopsError
from bertops.pretraining.masking import IGNORE_INDEX, MaskingVocab, mask_rows, targets_in
from bertops.pretraining.order import RowOrder
from bertops.pretraining.packing import SPECIALS_PER_PIECE, RowPlan, plan_rows
from bertops.pretraining.params import MaskingParams
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


@dataclass(frozen=True)
class RowBatch:
    """Some rows, ready to be predicted. B rows, L tokens of a row, P places to predict."""

    inputs_BL: NDArray[np.int64]
    documents_BL: NDArray[np.int32]
    """1 for the first document of a row, 2 for the second, ...; 0 on padding."""
    positions_BL: NDArray[np.int64]
    """Position within its document, from 0; 0 on padding."""
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
    """Where rows come from: a token store, its packing and its tokenizer."""

    store: TokenStore
    plan: RowPlan
    vocab: Vocab
    masking_vocab: MaskingVocab

    @property
    def tokens_per_row(self) -> float:
        """Tokens in a row that are not padding, on average."""
        return self.plan.tokens / max(self.plan.rows, 1)


def open_source(store: Path, tokenizer: Path, row_length: int) -> Source:
    """Open a token store and plan its rows.

    Raises:
        StoreDamaged: the store is incomplete.
        TokenizerMismatch: it was written with another tokenizer.
    """
    opened, vocab = TokenStore(store), load_vocab(tokenizer)
    if opened.manifest.tokenizer_sha256 != vocab.sha256:
        raise TokenizerMismatch(store, tokenizer)
    plan = plan_rows(np.asarray(opened.boundaries), row_length)
    return Source(opened, plan, vocab, _masking_vocab(tokenizer, vocab))


def _masking_vocab(tokenizer: Path, vocab: Vocab) -> MaskingVocab:
    pieces = load_tokenizer(tokenizer).get_vocab()
    continues = np.zeros(vocab.size, dtype=np.bool_)
    continues[[id for piece, id in pieces.items() if piece.startswith("##")]] = True
    ordinary = np.setdiff1d(np.arange(vocab.size), vocab.special)
    return MaskingVocab(mask=vocab.mask, ordinary=ordinary, continues=continues)


class Batches:
    """The batches of a training run: a pure function of (seed, step)."""

    def __init__(self, source: Source, masking: MaskingParams, seed: int) -> None:
        self.source, self.masking, self.seed = source, masking, seed
        self.order = RowOrder(source.plan.rows, seed)

    def at(self, place: int, count: int) -> RowBatch:
        """The `count` rows from `place` on in the endless order of rows."""
        epochs_B, rows_B = self.order.at(place, count)
        return self.build(epochs_B, rows_B)

    def tokens(self, place: int, count: int) -> int:
        """Tokens that are not padding in the `count` rows from `place` on."""
        return int(self.source.plan.row_tokens[self.order.at(place, count)[1]].sum())

    def build(self, epochs_B: NDArray[np.int64], rows_B: NDArray[np.int64]) -> RowBatch:
        """These rows, masked as in these epochs."""
        vocab, length = self.source.vocab, self.source.plan.row_length
        ids_BL, documents_BL, positions_BL = self._lay_out(rows_B)
        maskable_BL = ~np.isin(ids_BL, vocab.special)
        inputs_BL, labels_BL = mask_rows(
            ids_BL,
            maskable_BL,
            (self.seed, epochs_B, rows_B),
            self.masking,
            self.source.masking_vocab,
        )
        capacity = len(rows_B) * int(targets_in(length - SPECIALS_PER_PIECE, self.masking.rate))
        places = np.flatnonzero(labels_BL != IGNORE_INDEX)
        places_P = np.zeros(capacity, dtype=np.int64)
        labels_P = np.full(capacity, IGNORE_INDEX, dtype=np.int64)
        places_P[: len(places)] = places
        labels_P[: len(places)] = labels_BL.reshape(-1)[places]
        tokens = int((documents_BL > 0).sum())
        return RowBatch(
            inputs_BL, documents_BL, positions_BL, places_P, labels_P, tokens, len(places)
        )

    def _lay_out(
        self, rows_B: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """Ids, document numbers and positions of these rows: [CLS] piece [SEP] [CLS] …"""
        store, plan, vocab = self.source.store, self.source.plan, self.source.vocab
        shape = (len(rows_B), plan.row_length)
        ids_BL = np.full(shape, vocab.pad, dtype=np.int64)
        documents_BL = np.zeros(shape, dtype=np.int32)
        positions_BL = np.zeros(shape, dtype=np.int64)
        for i, row in enumerate(rows_B):
            at = 0
            for number, piece in enumerate(range(plan.first[row], plan.first[row + 1]), start=1):
                length = int(plan.lengths[piece])
                end = at + length + SPECIALS_PER_PIECE
                ids_BL[i, at] = vocab.cls
                ids_BL[i, at + 1 : end - 1] = store.read(int(plan.starts[piece]), length)
                ids_BL[i, end - 1] = vocab.sep
                documents_BL[i, at:end] = number
                positions_BL[i, at:end] = np.arange(end - at)
                at = end
        return ids_BL, documents_BL, positions_BL
