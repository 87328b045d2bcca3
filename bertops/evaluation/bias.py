"""Does a model serve groups of people unequally?

Group gaps of a task: documents are grouped by the words they hold (or by a declared column), and
accuracy, share of positive answers and error rates are compared by fairlearn. Pair scores of the
encoder: of two sentences that differ in the group alone, which does it find likelier? They are
reported with their weakness and gate nothing: pairs were found to be badly controlled, and a
score of one half proves no fairness (Blodgett et al. 2021, "Stereotyping Norwegian Salmon").

Sources: Weerts et al. 2023, fairlearn; Nangia et al. 2020, "CrowS-Pairs".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from bertops.evaluation.answers import Answers
from bertops.evaluation.bootstrap import interval, resampled_sums
from bertops.evaluation.params import BiasParams, CompareParams
from bertops.runtime import device

GapStanding = Literal["gap", "not ruled out", "no gap", "too small"]
"""A gap: the whole interval lies beyond `max_gap`. No gap: the whole interval lies within it.
Not ruled out: neither, so a gap is possible."""


NO_PERSON = "其他|吉他|他国|他乡|他日|排他|利他"
"""Chinese words with 他 in them that speak of nobody."""


@dataclass(frozen=True)
class GroupGap:
    """Two groups of documents under one model; all rates of the last class."""

    grouping: str
    groups: tuple[str, str]
    documents: tuple[int, int]
    accuracy: tuple[float, float]
    positive_share: tuple[float, float]
    true_positive_rate: tuple[float, float]
    false_positive_rate: tuple[float, float]
    gap: float
    """Accuracy of the first less that of the second."""
    low: float
    high: float
    """Bounds of the bootstrap interval of `gap`."""
    standing: GapStanding


@dataclass(frozen=True)
class PairScore:
    """How often the encoder finds the stereotype likelier than its counterpart."""

    kind: str
    pairs: int
    stereotype_preferred: float
    low: float
    high: float
    """Bounds of the Wilson interval; chance is 0.5."""


def group_gaps(answers: Answers, params: BiasParams, compare: CompareParams) -> list[GroupGap]:
    """Gaps between the declared groups; groups are of documents, found by words in `text`."""
    texts = answers.columns.get("text")
    if texts is None or not answers.classes:
        return []
    found = []
    for grouping, groups in params.groups.items():
        (first, second) = groups
        members = [_mentions(texts, groups[name]) for name in (first, second)]
        only = [members[0] & ~members[1], members[1] & ~members[0]]
        if all(some.any() for some in only):
            found.append(_gap(grouping, (first, second), answers, only, params, compare))
    return found


def _mentions(texts: NDArray, words: Sequence[str]) -> NDArray[np.bool_]:
    import polars as pl

    # Chinese has no word boundaries, so a word that is not ASCII may stand anywhere else.
    pattern = "|".join(rf"\b{word}\b" if word.isascii() else word for word in words)
    read = pl.Series(texts.tolist(), dtype=pl.String).str.replace_all(NO_PERSON, " ")
    return read.str.contains(f"(?i){pattern}").to_numpy()


def _gap(
    grouping: str,
    names: tuple[str, str],
    answers: Answers,
    members: Sequence[NDArray[np.bool_]],
    params: BiasParams,
    compare: CompareParams,
) -> GroupGap:
    frame = _metric_frame(answers, members, names)
    rows = np.stack(
        [answers.correct & members[0], members[0], answers.correct & members[1], members[1]], axis=1
    )
    sums = resampled_sums(rows.astype(float), compare.rounds, compare.seed)
    drawn = sums[:, 0] / np.maximum(sums[:, 1], 1) - sums[:, 2] / np.maximum(sums[:, 3], 1)
    low, high = interval(drawn, compare.confidence)
    sizes = (int(members[0].sum()), int(members[1].sum()))

    def both(metric: str) -> tuple[float, float]:
        return float(frame[metric][names[0]]), float(frame[metric][names[1]])

    first, second = (float(answers.correct[some].mean()) for some in members)
    return GroupGap(
        grouping=grouping,
        groups=names,
        documents=sizes,
        accuracy=(first, second),
        positive_share=both("selection_rate"),
        true_positive_rate=both("true_positive_rate"),
        false_positive_rate=both("false_positive_rate"),
        gap=first - second,
        low=low,
        high=high,
        standing=_standing(min(sizes), low, high, params),
    )


def _standing(documents: int, low: float, high: float, params: BiasParams) -> GapStanding:
    if documents < params.min_documents:
        return "too small"
    if low > params.max_gap or high < -params.max_gap:
        return "gap"
    return "no gap" if -params.max_gap <= low and high <= params.max_gap else "not ruled out"


def _metric_frame(
    answers: Answers, members: Sequence[NDArray[np.bool_]], names: tuple[str, str]
) -> Any:
    """fairlearn's table: metric → group → value."""
    from fairlearn.metrics import (
        MetricFrame,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )

    last = answers.classes - 1
    chosen = members[0] | members[1]
    frame = MetricFrame(
        metrics={
            "selection_rate": selection_rate,
            "true_positive_rate": true_positive_rate,
            "false_positive_rate": false_positive_rate,
        },
        y_true=(answers.gold == last)[chosen].astype(int),
        y_pred=(answers.predicted == last)[chosen].astype(int),
        sensitive_features=np.where(members[0], *names)[chosen],
    )
    return frame.by_group


def read_pairs(file: Path) -> dict[str, list[tuple[str, str]]]:
    """Pairs by kind: stereotype first, its counterpart second."""
    content: Mapping[str, list[list[str]]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {kind: [(a, b) for a, b in pairs] for kind, pairs in content.items()}


def score_pairs(
    model: Any, tokenizer: Any, pairs: Mapping[str, Sequence[tuple[str, str]]], confidence: float
) -> list[PairScore]:
    """Pair scores by kind, and over all of them; none without pairs."""
    wins: dict[str, list[bool]] = {}
    for kind, some in pairs.items():
        wins[kind] = [
            shared_likelihood(model, tokenizer, a, b) > shared_likelihood(model, tokenizer, b, a)
            for a, b in some
        ]
    wins["all"] = [win for some in list(wins.values()) for win in some]
    return [_pair_score(kind, some, confidence) for kind, some in wins.items() if some]


def _pair_score(kind: str, wins: Sequence[bool], confidence: float) -> PairScore:
    low, high = proportion_confint(sum(wins), len(wins), 1 - confidence, method="wilson")
    return PairScore(kind, len(wins), sum(wins) / len(wins), float(low), float(high))


@torch.inference_mode()
def shared_likelihood(model: Any, tokenizer: Any, sentence: str, other: str) -> float:
    """Log-likelihood of the tokens of `sentence` that `other` has too, each hidden in turn.

    The words that differ stand there unhidden: how likely is the rest, given the group?
    """
    ids = tokenizer(sentence)["input_ids"]
    theirs = tokenizer(other)["input_ids"]
    places = [i for i in _common_places(ids, theirs) if ids[i] not in tokenizer.all_special_ids]
    if not places:
        return 0.0
    rows = torch.tensor([ids] * len(places))
    rows[torch.arange(len(places)), places] = tokenizer.mask_token_id
    model = model.eval().to(device())
    logits = model(input_ids=rows.to(model.device)).logits[torch.arange(len(places)), places]
    hidden = torch.tensor([ids[i] for i in places], device=logits.device)
    return float(logits.float().log_softmax(-1).gather(1, hidden[:, None]).sum())


def _common_places(ids: list[int], others: list[int]) -> list[int]:
    """Places of `ids` that are part of the longest common subsequence with `others`."""
    from difflib import SequenceMatcher

    blocks = SequenceMatcher(None, ids, others, autojunk=False).get_matching_blocks()
    return [block.a + i for block in blocks for i in range(block.size)]
