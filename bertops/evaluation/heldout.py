"""How well the encoder fills holes in documents that it never saw.

Every measured model hides the same tokens of the same documents: a share of each piece, chosen
by the document's id, all replaced by [MASK]. So numbers of models with one tokenizer can be
compared, whatever rate and replacement they were trained with.

Key: B pieces, L length in tokens, M hidden tokens, V vocabulary.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bertops.document import Document
from bertops.errors import BertopsError
from bertops.evaluation.bootstrap import interval, resampled_sums
from bertops.evaluation.params import CompareParams, HeldoutParams
from bertops.progress import progress
from bertops.runtime import device

MEDIUM_TOKENS, LONG_TOKENS = 128, 512
LENGTH_NAMES = (
    f"under {MEDIUM_TOKENS} tokens",
    f"{MEDIUM_TOKENS} to {LONG_TOKENS - 1} tokens",
    f"{LONG_TOKENS} tokens or more",
)


class NothingHeldOut(BertopsError):
    """There is no held-out document to measure the encoder on."""

    def __init__(self) -> None:
        super().__init__(
            "no held-out document has a token to hide: expected some in data/corpus/validation. "
            "Raise split.validation in params.yaml, or give the corpus more documents."
        )


@dataclass(frozen=True)
class MaskedLoss:
    """Masked-LM quality over some hidden tokens."""

    documents: int
    hidden: int
    """Tokens that were hidden and predicted."""
    loss: float
    """Mean cross-entropy, nats per hidden token."""
    loss_low: float
    loss_high: float
    """Bounds of the bootstrap interval of `loss` over documents."""
    perplexity: float
    accuracy: float
    unigram_loss: float
    """The same for a baseline that knows only how frequent each token is in training text."""
    unigram_accuracy: float


@dataclass(frozen=True)
class HeldoutReport:
    """Masked-LM quality of the encoder on held-out documents."""

    mask_rate: float
    all: MaskedLoss
    by_source: dict[str, MaskedLoss]
    by_length: dict[str, MaskedLoss]


@dataclass(frozen=True)
class Piece:
    """A stretch of one document with its holes."""

    document: int
    """Position of its document in the list."""
    ids: NDArray[np.int64]
    """[L] token ids with [MASK] in the holes."""
    holes: NDArray[np.int64]
    """[M] positions of the holes."""
    hidden: NDArray[np.int64]
    """[M] token ids that were there."""


def measure_heldout(
    model: Any,
    tokenizer: Any,
    documents: Sequence[Document],
    token_counts: NDArray[np.int64],
    params: HeldoutParams,
    compare: CompareParams,
) -> HeldoutReport:
    """Measure a masked-LM model on held-out documents, beside a unigram baseline.

    Args:
        model: a transformers masked-LM model.
        tokenizer: its tokenizer.
        documents: of the validation split; when there are more than `params.documents`, those
            with the smallest ids are taken, which is a random and lasting choice.
        token_counts: [V] how often each token occurs in the training text.
        compare: how intervals are drawn.

    Raises:
        NothingHeldOut: no document has a token to hide.
    """
    documents = sorted(documents, key=lambda d: d.id)[: params.documents]
    pieces = list(_pieces(model, tokenizer, documents, params))
    if not pieces:
        raise NothingHeldOut
    tokens = np.bincount([p.document for p in pieces], [len(p.ids) for p in pieces], len(documents))
    measured = _measure_pieces(model, pieces, tokenizer.pad_token_id, params.batch_rows)
    baseline = _unigram(pieces, token_counts)
    owner = np.concatenate([np.full(len(p.hidden), p.document) for p in pieces])
    numbers = np.concatenate([measured, baseline], axis=1)

    def over(chosen: NDArray[np.bool_]) -> MaskedLoss:
        taken = chosen[owner]
        return _summary(numbers[taken], owner[taken], compare)

    sources = np.array([d.source for d in documents])
    lengths = np.array([_length_name(count) for count in tokens])
    return HeldoutReport(
        mask_rate=params.mask_rate,
        all=over(tokens > 0),
        by_source={name: over(sources == name) for name in _named(sources, tokens)},
        by_length={
            name: over(lengths == name) for name in LENGTH_NAMES if name in lengths[tokens > 0]
        },
    )


def document_losses(
    model: Any, tokenizer: Any, documents: Sequence[Document], params: HeldoutParams
) -> NDArray[np.float64]:
    """Mean loss over the hidden tokens of each document that has any, nats."""
    pieces = list(_pieces(model, tokenizer, documents, params))
    losses = _measure_pieces(model, pieces, tokenizer.pad_token_id, params.batch_rows)[:, 0]
    owner = np.concatenate([np.full(len(p.hidden), p.document) for p in pieces])
    count = np.bincount(owner)
    return (np.bincount(owner, losses) / np.maximum(count, 1))[count > 0]


def _named(names: NDArray[np.str_], tokens: NDArray) -> list[str]:
    return sorted(set(names[tokens > 0].tolist()))


def _length_name(tokens: float) -> str:
    return LENGTH_NAMES[int(tokens >= MEDIUM_TOKENS) + int(tokens >= LONG_TOKENS)]


def _pieces(
    model: Any, tokenizer: Any, documents: Sequence[Document], params: HeldoutParams
) -> Iterator[Piece]:
    """Cut documents into rows of [CLS] tokens [SEP] and hide a share of each row's tokens."""
    inside = min(params.row_tokens, model.config.max_position_embeddings) - 2
    encoded = tokenizer([d.text for d in documents], add_special_tokens=False, verbose=False)
    for position, (document, ids) in enumerate(zip(documents, encoded["input_ids"], strict=True)):
        generator = np.random.default_rng([params.seed, *_digest(document.id)])
        for start in range(0, len(ids), inside):
            piece = np.array(ids[start : start + inside], dtype=np.int64)
            count = max(1, round(len(piece) * params.mask_rate))
            holes = np.sort(generator.choice(len(piece), count, replace=False))
            row = np.array([tokenizer.cls_token_id, *piece, tokenizer.sep_token_id])
            row[holes + 1] = tokenizer.mask_token_id
            yield Piece(position, row, holes + 1, piece[holes])


def _digest(id: str) -> tuple[int, ...]:
    return tuple(hashlib.blake2b(id.encode(), digest_size=8).digest())


@torch.inference_mode()
def _measure_pieces(
    model: Any, pieces: Sequence[Piece], pad: int, batch_rows: int
) -> NDArray[np.float64]:
    """[holes, 2]: loss in nats, and 1 where the hidden token came first; in order of pieces."""
    model = model.eval().to(device())
    by_length = sorted(range(len(pieces)), key=lambda i: len(pieces[i].ids))
    results: list[NDArray] = [np.empty((0, 2))] * len(pieces)
    with progress(what="held-out documents", total=len(pieces), unit=" pieces") as bar:
        for start in range(0, len(pieces), batch_rows):
            chosen = by_length[start : start + batch_rows]
            batch = _measure_batch(model, [pieces[i] for i in chosen], pad)
            for i, result in zip(chosen, batch, strict=True):
                results[i] = result
            bar.update(len(chosen))
    return np.concatenate(results)


def _measure_batch(model: Any, pieces: Sequence[Piece], pad: int) -> list[NDArray]:
    ids_BL = torch.full((len(pieces), max(len(p.ids) for p in pieces)), pad)
    for row, piece in zip(ids_BL, pieces, strict=True):
        row[: len(piece.ids)] = torch.from_numpy(piece.ids)
    lengths_B = torch.tensor([len(p.ids) for p in pieces])
    attention_BL = torch.arange(ids_BL.shape[1])[None] < lengths_B[:, None]
    rows_M = np.concatenate([np.full(len(p.holes), i) for i, p in enumerate(pieces)])
    holes_M = np.concatenate([p.holes for p in pieces])
    hidden_M = torch.from_numpy(np.concatenate([p.hidden for p in pieces])).to(model.device)
    states_BLD = model.base_model(
        input_ids=ids_BL.to(model.device), attention_mask=attention_BL.long().to(model.device)
    ).last_hidden_state
    logits_MV = _project(model, states_BLD[rows_M, holes_M]).float()
    loss_M = torch.nn.functional.cross_entropy(logits_MV, hidden_M, reduction="none")
    right_M = logits_MV.argmax(dim=-1) == hidden_M
    both = torch.stack([loss_M.double(), right_M.double()], dim=1).cpu().numpy()
    return np.split(both, np.cumsum([len(p.holes) for p in pieces])[:-1])


def _project(model: Any, states_MD: torch.Tensor) -> torch.Tensor:
    """Scores over the vocabulary [M, V]; the holes alone, since the head is most of the work."""
    if model.config.model_type == "modernbert":
        return model.decoder(model.head(states_MD))
    return model.cls(states_MD) if hasattr(model, "cls") else model.lm_head(states_MD)


def _unigram(pieces: Sequence[Piece], token_counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """[holes, 2]: as `_measure_pieces`, for add-one smoothed token frequencies."""
    hidden = np.concatenate([p.hidden for p in pieces])
    smoothed = token_counts + 1.0
    loss = -np.log(smoothed / smoothed.sum())[hidden]
    return np.stack([loss, hidden == token_counts.argmax()], axis=1)


def _summary(
    numbers: NDArray[np.float64], owner: NDArray[np.int64], compare: CompareParams
) -> MaskedLoss:
    """Means over hidden tokens [holes, 4], of which `owner` tells the documents."""
    documents, place = np.unique(owner, return_inverse=True)
    sums = [np.bincount(place, numbers[:, 0]), np.bincount(place)]
    by_document = np.stack(sums, axis=1, dtype=np.float64)
    drawn = resampled_sums(by_document, compare.rounds, compare.seed)
    low, high = interval(drawn[:, 0] / drawn[:, 1], compare.confidence)
    loss, accuracy, unigram_loss, unigram_accuracy = (round(float(x), 4) for x in numbers.mean(0))
    return MaskedLoss(
        documents=len(documents),
        hidden=len(numbers),
        loss=loss,
        loss_low=round(low, 4),
        loss_high=round(high, 4),
        perplexity=round(math.exp(min(loss, 50)), 2),  # e^50 stands for "hopeless", and is finite
        accuracy=accuracy,
        unigram_loss=unigram_loss,
        unigram_accuracy=unigram_accuracy,
    )
