"""MLflowTracker: the `Tracker` that writes to MLflow, from a thread, and survives its absence."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bertops.errors import Interrupted
from bertops.storage import read_json, write_json
from bertops.tracking.sender import Sender
from bertops.tracking.store import Store, experiment_id

log = logging.getLogger(__name__)

CONTENT_TAG = "bertops.content"
"""Tag of a run: hash of the model it made. A registered version finds its run by it."""

METRICS_AT_ONCE = 1000  # limits of MLflow's log_batch
PAIRS_AT_ONCE = 100
SYSTEM_EVERY_S = 10.0

# Errors that another try cannot mend.
PERMANENT = {
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "RESOURCE_DOES_NOT_EXIST",
}

Entry = Callable[["Run"], None]


@dataclass(frozen=True)
class Measured:
    """One metric at one step."""

    name: str
    value: float
    step: int
    time_ms: int


@dataclass
class Run:
    """The open run in the store."""

    client: Any
    id: str
    last_step: dict[str, int]
    """Last step already recorded, by metric: a resumed run repeats steps after its checkpoint,
    with the same values, and they are recorded once."""


class MLflowTracker:
    """Records one run in MLflow without ever holding up or stopping the training.

    Everything is queued and sent by a thread. The run's id is kept in `run_file`, beside the
    checkpoints: a process that starts again after a kill carries on in the same run.

    Use it as a context manager; leaving the block ends the run as finished, failed or killed.

    Args:
        store: where to record.
        experiment: name of the experiment, made when missing.
        name: name of the run.
        run_file: keeps the id of the run while it is unfinished.
        system_metrics: also record load and memory of CPU and GPU every 10 s.
    """

    def __init__(
        self,
        store: Store,
        experiment: str,
        name: str,
        run_file: Path,
        *,
        system_metrics: bool = True,
        every_s: float = 2.0,
    ) -> None:
        self._store, self._experiment, self._name = store, experiment, name
        self._run_file, self._system_metrics = run_file, system_metrics
        self._run: Run | None = None
        self._monitor: Any = None
        self._sender: Sender[Measured | Entry] = Sender(self._deliver, every_s=every_s)

    # ── the protocol ──

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters, nested ones by dotted names."""
        flat = {name: str(value) for name, value in flatten(params).items()}
        self._sender.put(lambda run: _log_params(run, flat))

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record metrics at a step; returns at once."""
        now = int(time.time() * 1000)
        for name, value in values.items():
            self._sender.put(Measured(name, float(value), step, now))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record tags."""
        kept = dict(tags)
        self._sender.put(lambda run: _set_tags(run, kept))

    def log_file(self, path: Path) -> None:
        """Keep a copy of a file beside the run, as it is when the copy is made."""
        self._sender.put(lambda run: run.client.log_artifact(run.id, str(path)))

    # ── beyond the protocol ──

    def log_dataset(self, name: str, digest: str, source: str, context: str) -> None:
        """Record a dataset that went in.

        Args:
            digest: hash of the data; the first 32 digits are kept.
            source: where it lies, relative to the project.
            context: what it was for, such as "training" or "test".
        """
        self._sender.put(lambda run: _log_dataset(run, name, digest[:32], source, context))

    def set_content(self, digest: str) -> None:
        """Note the hash of the model this run made, so that its version finds the run."""
        self.set_tags({CONTENT_TAG: digest})

    def close(self, status: str = "FINISHED") -> None:
        """Send what is left and end the run.

        Args:
            status: FINISHED; FAILED or KILLED keep the id, so that a next start carries on.
        """
        if self._monitor is not None:
            self._monitor.finish()
        self._sender.put(lambda run: run.client.set_terminated(run.id, status))
        lost = self._sender.close()
        if status == "FINISHED" and not lost:
            self._run_file.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        self.close("KILLED" if stopped else "FAILED" if error else "FINISHED")

    # ── in the thread ──

    def _deliver(self, batch: list[Measured | Entry]) -> None:
        """Send a batch: the metrics together, the rest in order."""
        run = self._open()
        measured = [entry for entry in batch if isinstance(entry, Measured)]
        _attempt(lambda: _log_metrics(run, measured))
        for entry in batch:
            if not isinstance(entry, Measured):
                _attempt(lambda entry=entry: entry(run))  # type: ignore[misc]

    def _open(self) -> Run:
        """The run, resumed or begun at the first delivery."""
        if self._run is None:
            from mlflow import MlflowClient

            client = MlflowClient(self._store.address)
            resumed = self._resume(client)
            self._run = resumed or Run(client, self._begin(client), {})
            if self._system_metrics:
                self._monitor = _start_monitor(self._store, self._run.id, resumed is not None)
        return self._run

    def _begin(self, client: Any) -> str:
        run = client.create_run(experiment_id(self._store, self._experiment), run_name=self._name)
        write_json(self._run_file, {"address": self._store.address, "run_id": run.info.run_id})
        return run.info.run_id

    def _resume(self, client: Any) -> Run | None:
        """The run that `run_file` names, open again; None when there is none in this store."""
        from mlflow.exceptions import MlflowException

        if not self._run_file.is_file():
            return None
        kept = read_json(self._run_file)
        if kept["address"] != self._store.address:
            return None
        try:
            found = client.get_run(kept["run_id"])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        client.update_run(found.info.run_id, status="RUNNING")
        return Run(client, found.info.run_id, _last_steps(client, found))


def _attempt(action: Callable[[], None]) -> None:
    """Do it; what the store refuses for good is dropped with a warning, the rest is raised."""
    from mlflow.exceptions import MlflowException

    try:
        action()
    except MlflowException as error:
        if error.error_code not in PERMANENT:
            raise
        log.warning("tracking: refused by the store and dropped: %s", error)


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names: {"a": {"b": 1}} → {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _last_steps(client: Any, run: Any) -> dict[str, int]:
    names = [name for name in run.data.metrics if not name.startswith("system/")]
    histories = (client.get_metric_history(run.info.run_id, name) for name in names)
    return {h[0].key: max(metric.step for metric in h) for h in histories if h}


def _log_metrics(run: Run, measured: Sequence[Measured]) -> None:
    from mlflow.entities import Metric

    fresh = [m for m in measured if m.step > run.last_step.get(m.name, -1)]
    for start in range(0, len(fresh), METRICS_AT_ONCE):
        part = fresh[start : start + METRICS_AT_ONCE]
        run.client.log_batch(
            run.id, metrics=[Metric(m.name, m.value, m.time_ms, m.step) for m in part]
        )
        for m in part:
            run.last_step[m.name] = max(m.step, run.last_step.get(m.name, -1))


def _log_params(run: Run, flat: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    params = [Param(name, value) for name, value in flat.items()]
    for start in range(0, len(params), PAIRS_AT_ONCE):
        run.client.log_batch(run.id, params=params[start : start + PAIRS_AT_ONCE])


def _set_tags(run: Run, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    run.client.log_batch(run.id, tags=[RunTag(name, value) for name, value in tags.items()])


def _log_dataset(run: Run, name: str, digest: str, source: str, context: str) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(name, digest, source_type="local", source=source)
    run.client.log_inputs(
        run.id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])]
    )


def _start_monitor(store: Store, run_id: str, resumed: bool) -> Any:
    """MLflow's own monitor of CPU, memory, disk, network and GPU."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
    monitor = SystemMetricsMonitor(
        run_id,
        sampling_interval=SYSTEM_EVERY_S,
        resume_logging=resumed,
        tracking_uri=store.address,
    )
    monitor.start()
    return monitor
