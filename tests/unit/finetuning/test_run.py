import pytest
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from bertops.document import SplitParams
from bertops.errors import UsageError
from bertops.finetuning import attempt as attempt_module
from bertops.finetuning import bench as bench_module
from bertops.finetuning.bench import open_bench
from bertops.finetuning.data import prepare_task, read_split
from bertops.finetuning.kinds.embedding import Embedding
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.finetuning.predictions import read_predictions
from bertops.finetuning.run import FinetuningFailed, finetune_task
from bertops.finetuning.trainer import hf_trainer
from bertops.inference.load import load
from bertops.inference.readers import predict
from bertops.storage import hash_tree
from bertops.tracker import MemoryTracker


@pytest.fixture
def finetune(task, project, encoder):
    """Fine-tune into `project/<name>`; returns the report and its folder."""

    def run(params, name="a", **more):
        prepare_task(task, SplitParams(), project / "data", project)
        out = project / name
        report = finetune_task(
            task,
            project / "data",
            encoder,
            out / "model",
            out / "predictions",
            project / "work",
            params,
            **more,
        )
        return report, out

    return run


def test_the_saved_model_is_the_best_seed_and_predicts_as_recorded(finetune, quick, project):
    tracker = MemoryTracker()
    report, out = finetune(quick, tracker=tracker)
    assert len(report.runs) == 4
    assert report.failed == 0
    recorded = read_predictions(out / "predictions/test.parquet")
    assert {row["model"] for row in recorded} == {"pretrained", "control", "majority", "tfidf"}
    best = [r for r in recorded if (r["model"], r["seed"]) == ("pretrained", report.best_seed)]
    texts = [row["text"] for row in read_split(project / "data", "test")]
    loaded = load(out / "model")
    again = predict(loaded, texts)
    assert [row["prediction"] for row in again] == [row["prediction"] for row in best]
    for row, other in zip(again, best, strict=True):
        # Trained in fp32; inference takes bf16 where the machine has it.
        assert row["probabilities"] == pytest.approx(other["probabilities"], abs=5e-3)
    assert loaded.model.config.id2label == {0: "negative", 1: "positive"}
    assert {name for _, values in tracker.metrics for name in values} >= {
        "pretrained-seed1-lr0.005.validation_accuracy",
        "control-seed2-lr0.005.validation_accuracy",
    }
    assert not list((project / "work").iterdir())


def test_same_inputs_give_the_same_bytes(finetune, quick):
    few = quick.model_copy(update={"seeds": (3,), "control": False})
    first, one = finetune(few, "a")
    second, two = finetune(few, "b")
    assert first == second
    assert hash_tree(one) == hash_tree(two)


def test_a_killed_call_carries_on_with_its_finished_runs(finetune, quick, monkeypatch):
    whole, _ = finetune(quick, "whole")
    trained = []
    train = attempt_module.train

    def killed_at_third(*args, **kwargs):
        trained.append(kwargs["seed"])
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train(*args, **kwargs)

    monkeypatch.setattr(attempt_module, "train", killed_at_third)
    with pytest.raises(KeyboardInterrupt):
        finetune(quick, "killed")
    report, _ = finetune(quick, "killed")
    assert trained == [1, 2, 1, 1, 2]  # the third, killed, again, and the fourth
    assert report == whole


def test_the_rate_is_chosen_by_the_first_seed_on_validation(finetune, quick):
    rates = {"learning_rates": (1e-7, 5e-3), "control": False}
    report, _ = finetune(quick.model_copy(update=rates))
    tried = {run.learning_rate: run.validation for run in (report.runs[0], *report.tried)}
    assert set(tried) == {1e-7, 5e-3}
    assert report.learning_rates == {"pretrained": max(tried, key=lambda rate: tried[rate])}
    assert [run.seed for run in report.runs] == [1, 2]


def test_a_diverged_run_is_counted_and_alone_it_fails_the_task(finetune, quick):
    wild = quick.model_copy(update={"learning_rates": (1e30,), "seeds": (1,)})
    with pytest.raises(FinetuningFailed, match="not finite") as error:
        finetune(wild)
    assert len(error.value.failures) == 1


def test_patience_stops_a_run_that_does_not_improve(finetune, quick):
    still = {"learning_rates": (1e-9,), "patience": 1, "epochs": 5, "control": False}
    report, _ = finetune(quick.model_copy(update=still))
    assert all(len(run.curve) == 2 and run.best_epoch == 1 for run in report.runs)


def test_class_weights_weigh_the_rarer_class_more():
    from bertops.finetuning.kinds.classification import balanced_weights

    rows = [{"label": "a"}] * 3 + [{"label": "b"}]
    assert balanced_weights(rows, ["a", "b", "c"]) == [4 / 9, 4 / 3, 0.0]


def test_balanced_weights_train(finetune, quick):
    params = quick.model_copy(update={"class_weights": "balanced", "seeds": (1,)})
    report, _ = finetune(params)
    assert report.failed == 0


def test_a_task_longer_than_the_encoder_is_refused(task, project, encoder):
    prepare_task(task, SplitParams(), project / "data", project)
    long = task.model_copy(update={"max_length": 65})
    with pytest.raises(UsageError, match=r"the encoder .* reads 64"):
        finetune_task(
            long,
            project / "data",
            encoder,
            project / "m",
            project / "p",
            project / "w",
            FinetuningParams(),
        )


def test_a_translation_longer_than_the_decoder_is_refused(tmp_path, encoder):
    data = [{"path": "all.jsonl", "split": "by_hash"}]
    long = TaskParams(name="t", kind="translation", data=data, max_length=64, target_length=65)
    with pytest.raises(UsageError, match=r"target_length 65, the encoder .* reads 64"):
        open_bench(long, tmp_path, str(encoder), FinetuningParams())


def test_an_encoder_that_is_nowhere_is_told(tmp_path, task):
    with pytest.raises(UsageError, match=r"no encoder 'models/typo'.*check init_from"):
        open_bench(task, tmp_path, "models/typo", FinetuningParams())


def test_a_batch_stays_on_one_gpu_where_there_are_several(monkeypatch, tmp_path, encoder, task):
    """HF Trainer would make 8 × 32 rows of it, warmed up for 32."""
    arguments = {"output_dir": str(tmp_path), "per_device_train_batch_size": 32, "report_to": []}
    rows = [{"first": "a", "second": "b", "label": 1.0}]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    for make, model in (
        (hf_trainer, AutoModel.from_pretrained(encoder)),
        (Embedding(task).make_trainer, SentenceTransformer(str(encoder), device="cpu")),
    ):
        trainer = make(model, rows, arguments, 0, None)
        assert trainer.args.train_batch_size == 32
        assert trainer.args.n_gpu == 1


def test_attempts_are_kept_for_the_code_that_made_them(task, project, encoder, monkeypatch):
    prepare_task(task, SplitParams(), project / "data", project)
    inputs = (task, project / "data", str(encoder), FinetuningParams())
    before = bench_module.key_of(*inputs)
    assert before == bench_module.key_of(*inputs)
    (project / "mended.py").write_text("better = True")
    monkeypatch.setattr(bench_module, "CODE", (*bench_module.CODE, project))
    assert bench_module.key_of(*inputs) != before
    monkeypatch.undo()
    monkeypatch.setattr("torch.__version__", "99.0")
    assert bench_module.key_of(*inputs) != before
