"""Does the encoder remember its training documents?

The attack that is run: *loss threshold*. Whoever has the model and a document says "was in the
training data" when the document's masked-LM loss is low. It is the plainest attack; that it finds
nothing does not show that no attack would. `benchmarks/memorization.py` plants secrets and asks
for them, with an overfitted model as the control that the attack works at all.

Source: Yeom et al. 2018, "Privacy Risk in Machine Learning".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from bertops.document import Document
from bertops.evaluation.heldout import document_losses
from bertops.evaluation.params import CompareParams, EvaluationParams


@dataclass(frozen=True)
class Membership:
    """How well training documents are told from held-out ones by their loss."""

    attack: str
    members: int
    others: int
    auc: float
    """0.5: not at all; 1: always."""
    low: float
    high: float
    """Bounds of the interval of `auc`."""
    found_at_1_percent: float
    """Share of training documents found when 1 % of the others are wrongly accused."""


def attack_membership(
    model: Any,
    tokenizer: Any,
    members: Sequence[Document],
    others: Sequence[Document],
    params: EvaluationParams,
) -> Membership:
    """Run the loss-threshold attack.

    Args:
        members: documents of the training corpus.
        others: documents of the same kind that were held out.
    """
    limit = params.memorization.documents
    sides = [sorted(some, key=lambda d: d.id)[:limit] for some in (members, others)]
    losses = [document_losses(model, tokenizer, some, params.heldout) for some in sides]
    auc, low, high, found = auc_with_interval(losses[0], losses[1], params.compare)
    return Membership("loss threshold", len(losses[0]), len(losses[1]), auc, low, high, found)


def auc_with_interval(
    members: NDArray[np.float64], others: NDArray[np.float64], params: CompareParams
) -> tuple[float, float, float, float]:
    """AUC of "low loss means member", the bounds of its interval (DeLong's variance), and the
    share of members found at 1 % false accusations.

    Source: DeLong et al. 1988, equation 5, by placements.
    """
    truth = np.concatenate([np.ones(len(members)), np.zeros(len(others))])
    signal = -np.concatenate([members, others])
    auc = float(roc_auc_score(truth, signal))
    wins = (members[:, None] < others[None]) + 0.5 * (members[:, None] == others[None])
    variance = wins.mean(axis=1).var(ddof=1) / len(members)
    variance += wins.mean(axis=0).var(ddof=1) / len(others)
    reach = _two_sided(params) * float(np.sqrt(variance))
    accused, found, _ = roc_curve(truth, signal)
    at_one_percent = float(found[accused <= 0.01].max())
    return auc, max(0.0, auc - reach), min(1.0, auc + reach), at_one_percent


def _two_sided(params: CompareParams) -> float:
    from scipy.stats import norm

    return float(norm.ppf((1 + params.confidence) / 2))
