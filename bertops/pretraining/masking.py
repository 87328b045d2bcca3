"""Which tokens are hidden, and behind what."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertops.pretraining.counter import random_bits, random_uniform
from bertops.pretraining.params import MaskingParams

IGNORE_INDEX = -100  # label of a token that is not to be predicted, as in torch's cross_entropy

# B rows of a batch, L tokens of a row
Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Streams of random numbers, so that no decision shares its bits with another.
_CHOICE, _FATE, _SUBSTITUTE = 0, 1, 2


@dataclass(frozen=True)
class MaskingVocab:
    """What masking must know of a vocabulary."""

    mask: int
    ordinary: Ids
    """Ids that may stand in for a hidden token: all but the special ones, ascending."""
    continues: Flags
    """For each id, whether it continues a word ("##ing")."""


def targets_in(maskable: int | Ids, rate: float) -> NDArray[np.int64]:
    """Tokens to predict in a row with so many maskable ones: the rounded share, at least one.

    Rounding within each row, and not drawing each token by itself, fixes the cost of a step.
    """
    wanted = np.rint(np.asarray(maskable) * rate).astype(np.int64)
    return np.minimum(np.maximum(wanted, 1), maskable)


def mask_rows(
    ids_BL: Ids,
    maskable_BL: Flags,
    place: tuple[int, Ids, Ids],
    params: MaskingParams,
    vocab: MaskingVocab,
    continues_BL: Flags | None = None,
) -> tuple[Ids, Ids]:
    """Hide a share of the tokens of each row, for masked-LM training.

    Args:
        ids_BL: token ids.
        maskable_BL: False on padding and special tokens.
        place: seed, epoch of each row (B) and number of each row (B); they alone decide, so a row
            is masked alike on every rank and after every restart, and anew in every epoch.
        continues_BL: tokens that continue a word though the vocabulary does not tell: characters
            of Chinese.

    Returns:
        inputs_BL: the ids, the chosen ones replaced: [MASK], unchanged or random.
        labels_BL: the original id where chosen, IGNORE_INDEX elsewhere.

    Source: Devlin et al. 2019, "BERT", section 3.1 and appendix A.1.
    """
    seed, epochs_B, rows_B = place
    key = (seed, epochs_B[:, None], rows_B[:, None], np.arange(ids_BL.shape[1]))
    budget_B = targets_in(maskable_BL.sum(axis=1), params.rate)
    scores_BL = random_bits(*key, _CHOICE)
    if params.whole_words:
        words_BL = vocab.continues[ids_BL]
        words_BL = words_BL if continues_BL is None else words_BL | continues_BL
        chosen_BL = choose_words(scores_BL, maskable_BL, words_BL, budget_B)
    else:
        chosen_BL = _choose_tokens(scores_BL, maskable_BL, budget_B)
    fate_BL = random_uniform(*key, _FATE)
    pick_BL = random_bits(*key, _SUBSTITUTE) % np.uint64(len(vocab.ordinary))
    hidden_BL = np.where(
        fate_BL < params.keep_share + params.random_share, vocab.ordinary[pick_BL], vocab.mask
    )
    hidden_BL = np.where(fate_BL < params.keep_share, ids_BL, hidden_BL)
    return (
        np.where(chosen_BL, hidden_BL, ids_BL),
        np.where(chosen_BL, ids_BL, IGNORE_INDEX),
    )


def _choose_tokens(scores_BL: NDArray[np.uint64], maskable_BL: Flags, budget_B: Ids) -> Flags:
    """The `budget_B` maskable tokens of each row with the lowest scores."""
    scores_BL = np.where(maskable_BL, scores_BL, np.iinfo(np.uint64).max)
    order_BL = np.argsort(scores_BL, axis=1, kind="stable")
    ranks_BL = np.empty_like(order_BL)
    np.put_along_axis(ranks_BL, order_BL, np.arange(scores_BL.shape[1])[None, :], axis=1)
    return maskable_BL & (ranks_BL < budget_B[:, None])


def choose_words(
    scores_BL: NDArray[np.uint64], maskable_BL: Flags, continues_BL: Flags, budget_B: Ids
) -> Flags:
    """Whole words, in the order of the score of their first piece, as long as they fit.

    A word that would exceed the budget of its row is passed over for shorter ones, so a row may
    stay a piece or two below its budget; as in create_pretraining_data.py of Devlin et al.
    """
    chosen_BL = np.zeros_like(maskable_BL)
    before_BL = np.zeros_like(maskable_BL)
    before_BL[:, 1:] = maskable_BL[:, :-1]
    first_BL = maskable_BL & ~(continues_BL & before_BL)
    for row, room in enumerate(budget_B.tolist()):
        places = np.flatnonzero(maskable_BL[row])
        words = np.split(places, np.flatnonzero(first_BL[row, places])[1:])
        for word in sorted(words, key=lambda word: scores_BL[row, word[0]] if len(word) else 0):
            if len(word) <= room:
                chosen_BL[row, word] = True
                room -= len(word)
    return chosen_BL
