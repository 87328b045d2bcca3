"""The report as one self-contained HTML page: no script, no request to anywhere."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from bertops.evaluation.report.charts import Interval, interval_chart, line_chart, reliability_chart
from bertops.evaluation.report.content import ReportContent, ReportInputs, gather
from bertops.evaluation.report.words import FILTERS, MODELS, name_of
from bertops.storage import write_text

TEMPLATES = Path(__file__).parent / "templates"


def write_report(inputs: ReportInputs, verdicts: Sequence[Mapping[str, Any]], target: Path) -> None:
    """Write the report to `target`; it opens with the verdicts, the worst of them first."""
    write_text(target, render_page(gather(inputs, verdicts)))


def render_page(content: ReportContent) -> str:
    """The page; same content, same bytes."""
    charts = {
        "curve": _curve_chart(content),
        "scores": {
            (name, split): _scores_chart(task, split)
            for name, task in content.tasks.items()
            for split in task["comparisons"]
        },
        "reliability": {
            name: reliability_chart(task["calibration"]["bins"], title=f"Confidence of {name}")
            for name, task in content.tasks.items()
            if task["calibration"]
        },
    }
    template = _environment().get_template("report.html.j2")
    return template.render(content=content, charts=charts, models=MODELS) + "\n"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    environment.globals["style"] = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    return environment


def _scores_chart(task: Mapping[str, Any], split: str) -> Markup:
    """The deciding score of every model on one split."""
    present = {m["model"] for m in task["measured"]}
    order = [*MODELS, *sorted(present - set(MODELS))]
    rows = [
        Interval(name_of(model), m["value"], m["low"], m["high"], min(series, 3))
        for series, model in enumerate(order)
        for m in task["measured"]
        if (m["model"], m["split"], m["score"]) == (model, split, task["metric"])
    ]
    where = "the test set" if split == "test" else split.replace("_", " ")
    return interval_chart(rows, title=f"{task['metric']} on {where}", axis=task["metric"])


def _curve_chart(content: ReportContent) -> Markup | None:
    """Loss of pretraining over tokens, with the unigram baseline."""
    lines = []
    for name, column in {"training": "loss", "held out": "validation_loss"}.items():
        rows = [row for row in content.curve if column in row]
        if rows:
            lines.append((name, [r["tokens"] / 1e6 for r in rows], [r[column] for r in rows]))
    if not lines:
        return None
    level = ("knowing word frequencies alone", content.encoder["heldout"]["all"]["unigram_loss"])
    return line_chart(
        lines,
        title="Masked-LM loss while pretraining",
        x_axis="million tokens seen",
        y_axis="nats per hidden token",
        level=level,
    )
