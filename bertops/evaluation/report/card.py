"""The model card in the Hugging Face form: the report's content as Markdown.

Source: huggingface/hub-docs, modelcard template; front matter `model-index` for results.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml

from bertops.evaluation.report.content import ReportContent, ReportInputs, gather
from bertops.evaluation.report.words import FILTERS
from bertops.storage import write_text

TEMPLATES = Path(__file__).parent / "templates"
PIPELINES = {
    "classification": "text-classification",
    "regression": "text-classification",
    "tagging": "token-classification",
    "answering": "question-answering",
    "summarization": "summarization",
    "translation": "translation",
    "embedding": "sentence-similarity",
}


def write_card(inputs: ReportInputs, model: str, license: str, target: Path) -> None:
    """Write the card of one model; `model` is a task's name, or that of the encoder."""
    write_text(target, render_card(gather(inputs), model, license))


def render_card(content: ReportContent, model: str, license: str) -> str:
    """The card; same content, same bytes.

    Args:
        model: a task of the evaluation; any other name is taken for the encoder.
        license: SPDX id.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, not HTML
    )
    environment.filters |= FILTERS
    environment.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", "\\|")
    task = content.tasks.get(model)
    return environment.get_template("model_card.md.j2").render(
        front=_front_matter(model, task, license), name=model, task=task, content=content
    )


def _front_matter(model: str, task: Mapping[str, Any] | None, license: str) -> str:
    facts: dict[str, Any] = {
        "license": license,
        "library_name": "transformers",
        "pipeline_tag": PIPELINES[task["kind"]] if task else "fill-mask",
        "tags": ["bertops"],
    }
    if task:
        facts["metrics"] = sorted({m["score"] for m in task["measured"]})
        facts["model-index"] = [{"name": model, "results": _results(model, task)}]
    return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)


def _results(model: str, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry for each split, as the hub reads them."""
    return [
        {
            "task": {"type": PIPELINES[task["kind"]]},
            "dataset": {"name": f"{model}, {split}", "type": model, "split": split},
            "metrics": [
                {"type": m["score"], "value": m["value"]}
                for m in task["measured"]
                if m["model"] == "pretrained" and m["split"] == split
            ],
        }
        for split in task["comparisons"]
    ]
