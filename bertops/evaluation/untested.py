"""What a reader might take for tested and was not; it stands at the end of every report."""

from collections.abc import Iterator, Mapping

from bertops.evaluation.tasks import CANDIDATE, TaskResult

NEVER_TESTED = (
    "Texts of another kind, time or language than the test set and its slices.",
    "Texts written to deceive the model.",
    "Whether the gold labels are right.",
    "What the model does to people when it is put to use.",
    "Speed on another machine than the one that is named.",
    "Whether secrets can be drawn out of the encoder: no canaries were planted in this corpus. "
    "`python -m benchmarks.memorization` plants some in a copy of it.",
)
"""What no evaluation of ours covers, whatever it is given."""

ENOUGH_SEEDS = 3
"""With fewer, a good seed cannot be told from a good model."""


def not_tested(tasks: Mapping[str, TaskResult]) -> tuple[str, ...]:
    """What was not tested: what never is, and what this project gave no chance to."""
    if not tasks:
        return (*NEVER_TESTED, "What the encoder is good for: there is no task.")
    gaps = (f"{name}: {gap}" for name, task in tasks.items() for gap in _gaps(task))
    return (*NEVER_TESTED, *gaps)


def _gaps(task: TaskResult) -> Iterator[str]:
    """What is missing in the evaluation of one task, a sentence each."""
    if not task.behaviour:
        yield "behaviour; no cases were given (evaluation.behaviour.cases)."
    columns = {one.column for one in task.slices}
    missing = [column for column in ("source", "language") if column not in columns]
    if not task.slices:
        yield "slices of the test set."
    elif missing:
        yield (
            f"slices by {' and '.join(missing)}; the task names no such column (columns.slices), "
            "or it has one value."
        )
    small = [f"{one.column} {one.value}" for one in task.slices if one.standing == "too small"]
    if small:
        yield f"slices with too few documents: {', '.join(small)}."
    if not task.bias:
        yield "groups of people; no document speaks of one alone, or the kind has no classes."
    small = [one.grouping for one in task.bias if one.standing == "too small"]
    if small:
        yield f"groups with too few documents: {', '.join(small)}."
    seeds = max(len(m.by_seed) for m in task.measured if m.model == CANDIDATE)
    if seeds < ENOUGH_SEEDS:
        yield f"luck; {seeds} of the {ENOUGH_SEEDS} seeds that show it were trained."
    if task.calibration is None:
        yield "calibration; there are no predictions on validation, or the kind has no classes."
    if len(task.comparisons) == 1:
        yield "another domain; there is no test set besides the task's own."
