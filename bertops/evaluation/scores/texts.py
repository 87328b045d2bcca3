"""Scores of texts: answers, summaries, translations, and what a search brought."""

from typing import Any

import numpy as np

from bertops import metrics
from bertops.evaluation.answers import Answers
from bertops.evaluation.scores.base import Floats, Score, mean, with_count


def mean_of(name: str) -> Score:
    """A metric of `bertops.metrics` that is a mean over documents, taken document by document."""

    def contributions(answers: Answers) -> Floats:
        pairs = zip(answers.gold, answers.predicted, strict=True)
        return with_count(np.array([metrics.score(name, [g], [p], ()) for g, p in pairs]))

    return Score(name, contributions, mean)


def _of_sacrebleu(name: str) -> Score:
    """A corpus score of sacrebleu from its own counts of each sentence."""

    def counts(answers: Answers) -> Floats:
        scorer = _scorer(name, " ".join(map(str, answers.gold[:100])))
        predicted, gold = map(list, (answers.predicted, answers.gold))
        return np.array(scorer._extract_corpus_statistics(predicted, [gold]), dtype=float)

    def value(sums: Floats) -> Floats:
        def one(row: Floats) -> float:
            return float(_scorer(name)._compute_score_from_stats(row.astype(int).tolist()).score)

        return np.apply_along_axis(one, -1, sums)

    return Score(name, counts, value, scale=100)


def _scorer(name: str, sample: str = "") -> Any:
    """sacrebleu's scorer; Chinese is compared character by character."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    if name == "chrf":
        return CHRF()
    chinese = sum("\u4e00" <= c <= "\u9fff" for c in sample) > 0.2 * max(1, len(sample))
    return BLEU(tokenize="zh" if chinese else "13a")


ANSWERS = (mean_of("answer_f1"), mean_of("exact_match"))
SUMMARIES = (mean_of("rougeL"), mean_of("rouge1"), mean_of("rouge2"))
TRANSLATIONS = (_of_sacrebleu("bleu"), _of_sacrebleu("chrf"))
SEARCHES = (mean_of("mrr"), mean_of("recall_at_1"), mean_of("recall_at_10"))
