"""MLflowTracker: the `Tracker` that writes to MLflow, from a thread, and survives its absence."""

import importlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bertops.errors import Interrupted
from bertops.storage import read_json, write_json
from bertops.tracking.mlflow_run import Measured, Run, attempt, reopen
from bertops.tracking.sender import Sender
from bertops.tracking.store import Store, experiment_id

CONTENT_TAG = "bertops.content"
"""Tag of a run: hash of the model it made. A registered version finds its run by it."""

PARENT_TAG = "mlflow.parentRunId"
"""Tag by which MLflow shows a run below another."""

SYSTEM_EVERY_S = 10.0
MONITOR_PATIENCE_S = 5.0

Entry = Callable[[Run], None]


class MLflowTracker:
    """Records one run in MLflow without ever holding up or stopping the training.

    Everything is queued and sent by a thread. The run's id is kept in `run_file`, beside the
    checkpoints: a process that starts again after a kill carries on in the same run, or in a new
    one where that was deleted.

    Use it as a context manager; leaving the block ends the run as finished, failed or killed.

    Args:
        store: where to record.
        experiment: name of the experiment, made when missing.
        name: name of the run.
        run_file: keeps the id of the run while it is unfinished.
        system_metrics: also record load and memory of CPU and GPU every 10 s.
        parent: the run that this one is shown below, as a trial below its search.
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
        parent: "MLflowTracker | None" = None,
    ) -> None:
        self._store, self._experiment, self._name = store, experiment, name
        self._run_file, self._system_metrics = run_file, system_metrics
        self._parent, self._opening = parent, threading.Lock()
        self._run: Run | None = None
        self._monitor: Any = None
        # MLflow imports Polars in the sender's thread; two threads that import it at once fail.
        importlib.import_module("polars")
        self._sender: Sender[Measured | Entry] = Sender(self._deliver, every_s=every_s)

    # ── the protocol ──

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters, nested ones by dotted names."""
        flat = {name: str(value) for name, value in flatten(params).items()}
        self._sender.put(lambda run: run.log_params(flat))

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record metrics at a step; returns at once."""
        now = int(time.time() * 1000)
        for name, value in values.items():
            self._sender.put(Measured(name, float(value), step, now))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record tags."""
        kept = dict(tags)
        self._sender.put(lambda run: run.set_tags(kept))

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
        self._sender.put(lambda run: run.log_dataset(name, digest[:32], source, context))

    def set_content(self, digest: str) -> None:
        """Note the hash of the model this run made, so that its version finds the run."""
        self.set_tags({CONTENT_TAG: digest})

    def close(self, status: str = "FINISHED") -> None:
        """Send what is left and end the run.

        Args:
            status: FINISHED; FAILED or KILLED keep the id, so that a next start carries on.
        """
        if self._monitor is not None:  # it may be waiting for a store that is gone
            finishing = threading.Thread(target=self._monitor.finish, daemon=True)
            finishing.start()
            finishing.join(MONITOR_PATIENCE_S)
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
        attempt(lambda: run.log_metrics(measured))
        for entry in batch:
            if not isinstance(entry, Measured):
                attempt(partial(entry, run))

    def _open(self) -> Run:
        """The run, resumed or begun at the first delivery, its own or that of one below it."""
        with self._opening:
            if self._run is None:
                from mlflow import MlflowClient

                client = MlflowClient(self._store.address)
                # First, since an experiment that is restored brings its runs back.
                experiment = experiment_id(self._store, self._experiment)
                resumed = self._resume(client)
                self._run = resumed or Run(client, self._begin(client, experiment))
                if self._system_metrics:
                    self._monitor = _start_monitor(self._store, self._run.id, resumed is not None)
            return self._run

    def _begin(self, client: Any, experiment: str) -> str:
        tags = {} if self._parent is None else {PARENT_TAG: self._parent._open().id}
        run = client.create_run(experiment, run_name=self._name, tags=tags)
        write_json(self._run_file, {"address": self._store.address, "run_id": run.info.run_id})
        return run.info.run_id

    def _resume(self, client: Any) -> Run | None:
        """The run that `run_file` names, open again; None when there is none in this store."""
        if not self._run_file.is_file():
            return None
        kept = read_json(self._run_file)
        if kept["address"] != self._store.address:
            return None
        return reopen(client, kept["run_id"])


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names: {"a": {"b": 1}} → {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


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
