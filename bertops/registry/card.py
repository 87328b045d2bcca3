"""Model card: the README.md of a version, in the format of the Hugging Face hub."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bertops.inference.card import TaskCard

PIPELINES = {
    "classification": "text-classification",
    "regression": "text-classification",
    "tagging": "token-classification",
    "answering": "question-answering",
    "summarization": "summarization",
    "translation": "translation",
    "embedding": "sentence-similarity",
}
"""The hub's name for what a kind of task does."""


def model_card(
    name: str,
    license: str,
    task: TaskCard | None,
    evaluation: Mapping[str, Any],
    lineage: Mapping[str, str],
) -> str:
    """The card of one model: what it is, how well it does, what that rests on, where it is from.

    Args:
        name: registered name.
        task: None for an encoder.
        evaluation: what evaluation.json holds; empty where nothing was measured.
        lineage: tags of the lineage.
    """
    measured = _measured(evaluation, task)
    about = (
        f"A `{task.kind}` model for the task `{task.task}`, fine-tuned from an encoder that was "
        f"pretrained on the same project's corpus. Reads {task.max_length} tokens."
        if task
        else "A BERT-class encoder, pretrained by filling masked tokens."
    )
    parts = [
        f"---\n{_metadata(name, license, task, measured)}\n---",
        f"# {name}",
        about,
        *_results(evaluation, task, measured),
        *_limits(evaluation),
        "## Where it comes from",
        _table(("fact", "value"), sorted((k, v) for k, v in lineage.items() if v)),
        "Made with bertops; `SHA256SUMS` and `sbom.cdx.json` beside this card say of what.",
    ]
    return "\n\n".join(parts) + "\n"


def _measured(evaluation: Mapping[str, Any], task: TaskCard | None) -> list[Mapping[str, Any]]:
    """Every score of the shipped model outside of validation, the deciding ones first."""
    found = evaluation.get("tasks", {}).get(task.task) if task else None
    if found is None:
        return []
    mine = [
        m for m in found["measured"] if m["model"] == "pretrained" and m["split"] != "validation"
    ]
    return sorted(mine, key=lambda m: (m["split"] != "test", m["score"] != found["metric"]))


def _metadata(
    name: str, license: str, task: TaskCard | None, measured: Sequence[Mapping[str, Any]]
) -> str:
    """The block that the hub reads, results included."""
    from huggingface_hub import EvalResult, ModelCardData

    pipeline = PIPELINES.get(task.kind, "text-classification") if task else "fill-mask"
    results = [
        EvalResult(
            task_type=pipeline,
            dataset_type="bertops",
            dataset_name=task.task if task else name,
            dataset_split=m["split"],
            metric_type=m["score"],
            metric_value=m["value"],
        )
        for m in measured
    ]
    data = ModelCardData(
        model_name=name,
        license=license,
        library_name="transformers",
        pipeline_tag=pipeline,
        eval_results=results or None,
    )
    return data.to_yaml()


def _results(
    evaluation: Mapping[str, Any], task: TaskCard | None, measured: Sequence[Mapping[str, Any]]
) -> Iterable[str]:
    """Results with intervals, and what they are worth beside control and baselines."""
    if task is None:
        if "encoder" in evaluation:
            yield "## Results"
            yield _heldout(evaluation["encoder"]["heldout"]["all"])
        return
    if not measured:
        return
    yield "## Results"
    rows = [
        (m["split"], m["score"], f"{m['value']:.4f}", f"[{m['low']:.4f}, {m['high']:.4f}]",
         str(m["documents"]), f"{m['median']:.4f} of {len(m['by_seed'])}")
        for m in measured
    ]  # fmt: skip
    yield _table(("split", "score", "value", "95 % interval", "documents", "median of seeds"), rows)
    findings = evaluation["tasks"][task.task].get("findings", {})
    if findings:
        yield "\n".join(f"- against {other}: {said}" for other, said in sorted(findings.items()))


def _heldout(found: Mapping[str, Any]) -> str:
    return (
        f"On {found['documents']} held-out documents with 15 % of the tokens masked: loss "
        f"{found['loss']:.3f} nats (a unigram baseline: {found['unigram_loss']:.3f}), perplexity "
        f"{found['perplexity']:.1f}, accuracy {found['accuracy']:.3f}."
    )


def _limits(evaluation: Mapping[str, Any]) -> Iterable[str]:
    if untested := evaluation.get("not_tested"):
        yield "## What was not tested"
        yield "\n".join(f"- {line}" for line in untested)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
