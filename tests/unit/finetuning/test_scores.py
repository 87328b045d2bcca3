"""One table over tasks, as `bertops scores` prints it."""

import pytest

from bertops.finetuning.scores import average, score_row, score_table


def spread(median):
    return {"median": median, "min": median - 0.1, "max": median + 0.1}


def report(task, metric="f1", control=True, split="test"):
    scores = {split: {metric: spread(0.8), "accuracy": spread(0.7)}}
    runs = [
        {"model": model, "failure": failure}
        for model in ("pretrained", "control")
        for failure in (None, None, "diverged")
    ]
    without = {split: {metric: spread(0.5), "accuracy": spread(0.4)}}
    return {
        "task": task,
        "metric": metric,
        "rows": {"train": 10, split: 1234},
        "runs": runs,
        "summary": {"pretrained": scores} | ({"control": without} if control else {}),
        "baselines": {"majority": {split: {metric: 0.3}}},
    }


def test_a_row_holds_the_metric_over_the_seeds_that_came_through():
    row = score_row(report("mrpc"))
    assert (row.median, row.low, row.high) == pytest.approx((0.8, 0.7, 0.9))
    assert (row.seeds, row.rows, row.control) == (2, 1234, 0.5)
    assert row.others == {"accuracy": 0.7}
    assert row.baselines == {"majority": 0.3}


def test_a_task_without_a_test_split_has_no_row():
    assert score_row(report("mrpc", split="validation")) is None


def test_the_average_counts_each_task_alike_and_stands_below():
    rows = [score_row(report("mrpc")), score_row(report("rte", "mcc", control=False))]
    assert average(rows) == pytest.approx(0.8)
    head, first, second, last = score_table(rows)
    assert len(head) == len(first) == len(second) == len(last)
    assert first[:6] == ["mrpc", "f1", "0.800", "0.700-0.900", "2", "1,234"]
    assert second[6] == "-"
    assert last[:3] == ["average", "", "0.800"]
    assert len(score_table(rows[:1])) == 2
