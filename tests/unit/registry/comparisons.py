"""Comparisons with a given verdict, for tests of what follows from it."""

from bertops.evaluation.compare import Comparison


def comparison(verdict):
    """A comparison of 1,000 documents that ended in `verdict`."""
    return Comparison(
        first="candidate",
        second="champion",
        score="accuracy",
        documents=1000,
        first_value=0.82,
        second_value=0.80,
        difference=0.02,
        low=0.01,
        high=0.03,
        detectable=0.015,
        verdict=verdict,
        scale=1.0,
        mcnemar=None,
    )
