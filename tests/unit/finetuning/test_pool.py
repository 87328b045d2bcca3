import pytest

from bertops import runtime
from bertops.document import SplitParams
from bertops.finetuning.bench import open_bench
from bertops.finetuning.data import prepare_task
from bertops.finetuning.pool import open_pool
from bertops.tracker import MemoryTracker

JOBS = [("pretrained", 1, 5e-3), ("control", 1, 5e-3)]


@pytest.mark.slow
def test_two_processes_give_the_results_of_one(task, project, encoder, quick, monkeypatch):
    prepare_task(task, SplitParams(), project / "data", project)
    bench = open_bench(task, project / "data", str(encoder), quick)
    results = {}
    for processes in (1, 2):
        monkeypatch.setattr(runtime, "threads", lambda n=processes: n)
        tracker, epochs = MemoryTracker(), []
        with open_pool(bench, project / f"work{processes}", tracker, epochs.append, 2) as pool:
            found = pool.run(JOBS)
        results[processes] = found
        assert sum(epochs) == 2 * quick.epochs
        assert {name for _, values in tracker.metrics for name in values} >= {
            "pretrained-seed1-lr0.005.validation_accuracy",
            "control-seed1-lr0.005.validation_accuracy",
        }
    assert [run.curve for run in results[1]] == [run.curve for run in results[2]]
    assert [run.metrics for run in results[1]] == [run.metrics for run in results[2]]
