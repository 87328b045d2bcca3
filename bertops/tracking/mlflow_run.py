"""Run: one open run in MLflow's store, and what can be written to it, in requests of legal size."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

METRICS_AT_ONCE = 1000  # limits of MLflow's log_batch
PAIRS_AT_ONCE = 100

# Errors that another try cannot mend.
PERMANENT = {
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "RESOURCE_DOES_NOT_EXIST",
}


@dataclass(frozen=True)
class Measured:
    """One metric at one step."""

    name: str
    value: float
    step: int
    time_ms: int


@dataclass
class Run:
    """An open run. Every method raises what MLflow raises."""

    client: Any
    id: str
    last_step: dict[str, int] = field(default_factory=dict)
    """Last step already recorded, by metric: a resumed run repeats steps after its checkpoint,
    with the same values, and they are recorded once."""

    def log_metrics(self, measured: Sequence[Measured]) -> None:
        """Record metrics, but for steps that are there already."""
        from mlflow.entities import Metric

        fresh = [m for m in measured if m.step > self.last_step.get(m.name, -1)]
        for start in range(0, len(fresh), METRICS_AT_ONCE):
            part = fresh[start : start + METRICS_AT_ONCE]
            self.client.log_batch(
                self.id, metrics=[Metric(m.name, m.value, m.time_ms, m.step) for m in part]
            )
            for m in part:
                self.last_step[m.name] = max(m.step, self.last_step.get(m.name, -1))

    def log_params(self, flat: Mapping[str, str]) -> None:
        """Record parameters."""
        from mlflow.entities import Param

        params = [Param(name, value) for name, value in flat.items()]
        for start in range(0, len(params), PAIRS_AT_ONCE):
            self.client.log_batch(self.id, params=params[start : start + PAIRS_AT_ONCE])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record tags."""
        from mlflow.entities import RunTag

        pairs = [RunTag(name, value) for name, value in tags.items()]
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            self.client.log_batch(self.id, tags=pairs[start : start + PAIRS_AT_ONCE])

    def log_dataset(self, name: str, digest: str, source: str, context: str) -> None:
        """Record a dataset that went in."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, digest, source_type="local", source=source)
        tag = InputTag("mlflow.data.context", context)
        self.client.log_inputs(self.id, [DatasetInput(dataset, [tag])])


def reopen(client: Any, run_id: str) -> Run | None:
    """A run as it was left, running again; None when it is unknown or was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    if found.info.lifecycle_stage != "active":  # still found, but nothing more is taken for it
        return None
    client.update_run(run_id, status="RUNNING")
    names = [name for name in found.data.metrics if not name.startswith("system/")]
    histories = (client.get_metric_history(run_id, name) for name in names)
    last = {h[0].key: max(metric.step for metric in h) for h in histories if h}
    return Run(client, run_id, last)


def attempt(action: Callable[[], None]) -> None:
    """Do it; what the store refuses for good is dropped with a warning, the rest is raised."""
    from mlflow.exceptions import MlflowException

    try:
        action()
    except MlflowException as error:
        if error.error_code not in PERMANENT:
            raise
        log.warning("tracking: refused by the store and dropped: %s", error)
