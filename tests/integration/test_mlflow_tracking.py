"""MLflowTracker against a real SQLite store."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from bertops.tracking import mlflow_tracker
from bertops.tracking.mlflow_tracker import MLflowTracker
from bertops.tracking.store import Store, open_store
from tests.integration.mlflow_models import fresh_store

QUICK = {"system_metrics": False, "every_s": 0.05}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return fresh_store(tmp_path_factory.mktemp("mlflow") / "mlflow.db")


def tracker(store, tmp_path, **options):
    options = {"system_metrics": False, "every_s": 0.05} | options
    return MLflowTracker(store, "training", "pretrain", tmp_path / "run.json", **options)


def only_run(store, name="training"):
    from mlflow import MlflowClient

    client = MlflowClient(store.address)
    experiment = client.get_experiment_by_name(name)
    return client, client.search_runs([experiment.experiment_id], max_results=1)[0]


def test_a_run_keeps_params_metrics_datasets_tags_and_files(store, tmp_path):
    (tmp_path / "curve.csv").write_text("step,loss\n1,2\n")
    with tracker(store, tmp_path) as t:
        t.log_params({"model": {"layers": 3}, "seed": 1})
        for step in range(1, 2501):
            t.log_metrics({"loss": 1 / step}, step)
        t.log_dataset("corpus", "f" * 64, "data/corpus", "training")
        t.log_file(tmp_path / "curve.csv")
        t.set_tags({"bertops.dvc_lock": "abc"})
        t.set_content("d" * 64)
    client, run = only_run(store)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model.layers": "3", "seed": "1"}
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 2500
    assert run.data.tags["bertops.content"] == "d" * 64
    assert run.inputs.dataset_inputs[0].dataset.name == "corpus"
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["curve.csv"]
    assert not (tmp_path / "run.json").exists()


def test_a_run_is_shown_below_its_parent_whichever_comes_first(store, tmp_path):
    from mlflow import MlflowClient

    options = {"system_metrics": False, "every_s": 0.05}
    slow = options | {"every_s": 60.0}
    with MLflowTracker(store, "search", "search", tmp_path / "search.json", **slow) as search:
        search.log_params({"trials": 2})
        for number in range(2):
            place = (f"trial-{number}", tmp_path / f"{number}.json")
            with MLflowTracker(store, "search", *place, **options, parent=search) as trial:
                trial.log_metrics({"accuracy": 0.5}, 1)
    client = MlflowClient(store.address)
    experiment = client.get_experiment_by_name("search")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"search", "trial-0", "trial-1"}
    parent = runs.pop("search").info.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent}


@pytest.mark.fault
def test_a_clock_that_goes_back_loses_and_doubles_no_step(store, tmp_path, monkeypatch):
    seconds = itertools.count(2_000_000_000, -3600)
    backwards = SimpleNamespace(time=lambda: next(seconds))
    monkeypatch.setattr(mlflow_tracker, "time", backwards)
    with tracker(store, tmp_path) as t:
        for step in range(1, 51):
            t.log_metrics({"loss": 1 / step}, step)
    client, run = only_run(store)
    kept = [m.step for m in client.get_metric_history(run.info.run_id, "loss")]
    assert sorted(kept) == list(range(1, 51))
    assert run.data.metrics["loss"] == pytest.approx(1 / 50)


def test_after_a_kill_the_same_run_goes_on_and_no_step_is_there_twice(store, tmp_path):
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from bertops.tracking.mlflow_tracker import MLflowTracker
        from bertops.tracking.store import Store
        store = Store({store.address!r}, {store.artifacts!r})
        t = MLflowTracker(store, "killed", "x", Path({str(tmp_path / "run.json")!r}), every_s=0.05,
                          system_metrics=False)
        for step in range(1, 11):
            t.log_metrics({{"loss": float(step)}}, step)
        while t._run is None or t._run.last_step.get("loss") != 10:
            time.sleep(0.05)
        print("ready", flush=True)
        time.sleep(60)
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    first = only_run(store, "killed")[1].info.run_id
    with MLflowTracker(
        store, "killed", "x", tmp_path / "run.json", system_metrics=False, every_s=0.05
    ) as t:
        for step in range(6, 16):  # the checkpoint was at step 5
            t.log_metrics({"loss": float(step)}, step)
    client, run = only_run(store, "killed")
    assert run.info.run_id == first
    assert run.info.status == "FINISHED"
    steps = [m.step for m in client.get_metric_history(first, "loss")]
    assert sorted(steps) == list(range(1, 16))


def test_a_failed_block_ends_the_run_as_failed_and_keeps_its_id(store, tmp_path):
    def train():
        with tracker(store, tmp_path) as t:
            t.log_metrics({"loss": 1.0}, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert only_run(store)[1].info.status == "FAILED"
    assert (tmp_path / "run.json").exists()


def interrupted_run(store, tmp_path, experiment):
    """A client, and the id of a run that was killed after its first step."""
    from mlflow import MlflowClient

    t = MLflowTracker(store, experiment, "x", tmp_path / "run.json", **QUICK)
    t.log_metrics({"loss": 2.0}, 1)
    t.close("KILLED")
    return MlflowClient(store.address), only_run(store, experiment)[1].info.run_id


def test_after_an_interrupted_run_was_deleted_a_new_one_begins(store, tmp_path):
    client, first = interrupted_run(store, tmp_path, "deleted")
    client.delete_run(first)
    with MLflowTracker(store, "deleted", "x", tmp_path / "run.json", **QUICK) as t:
        t.log_metrics({"loss": 1.0}, 2)
    experiment = client.get_experiment_by_name("deleted")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id != first
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"loss": 1.0}
    assert not (tmp_path / "run.json").exists()


def test_a_deleted_experiment_is_restored_and_its_interrupted_run_goes_on(store, tmp_path):
    client, first = interrupted_run(store, tmp_path, "restored")
    client.delete_experiment(client.get_experiment_by_name("restored").experiment_id)
    with MLflowTracker(store, "restored", "x", tmp_path / "run.json", **QUICK) as t:
        t.log_metrics({"loss": 1.0}, 2)
    experiment = client.get_experiment_by_name("restored")
    assert experiment.lifecycle_stage == "active"
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == first
    assert run.info.status == "FINISHED"
    assert [m.step for m in client.get_metric_history(first, "loss")] == [1, 2]
    assert not (tmp_path / "run.json").exists()


def test_an_unreachable_store_neither_stops_nor_delays_the_training(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Store("http://127.0.0.1:9", None)
    t = tracker(away, tmp_path)
    t._sender._patience_s = 1
    for step in range(100):
        t.log_metrics({"loss": 1.0}, step)
    t.close()


def test_a_changed_param_on_a_resumed_run_is_dropped_and_the_rest_arrives(store, tmp_path, caplog):
    t = tracker(store, tmp_path)
    t.log_params({"lr": 1})
    t.close("FAILED")
    with tracker(store, tmp_path) as t:
        t.log_params({"lr": 2})
        t.log_metrics({"loss": 3.0}, 1)
    run = only_run(store)[1]
    assert run.data.params == {"lr": "1"}
    assert run.data.metrics == {"loss": 3.0}
    assert "refused by the store" in caplog.text


def test_three_processes_may_open_a_fresh_store_at_once(tmp_path):
    script = (
        "import sys; from pathlib import Path; from bertops.tracking.store import *; "
        "s = open_store(Path(sys.argv[1])); print(experiment_id(s, 'same'))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-c", script, str(tmp_path / "fresh.db")]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
        for _ in range(3)
    ]
    ids = [process.communicate()[0].strip() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert len(set(ids)) == 1
    assert not (tmp_path / "mlruns").exists()


def test_system_metrics_are_recorded(store, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    import time

    with MLflowTracker(store, "system", "x", tmp_path / "run.json", every_s=0.05) as t:
        t.log_metrics({"loss": 1.0}, 1)
        time.sleep(4)
    assert any(name.startswith("system/") for name in only_run(store, "system")[1].data.metrics)


def test_an_address_in_the_environment_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    assert open_store(tmp_path / "mlflow.db") == Store("http://tracking.example:5000", None)
    assert not list(tmp_path.iterdir())
