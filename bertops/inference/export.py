"""Export to ONNX and int8, kept only where it agrees with the original."""

import shutil
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertops import metrics
from bertops.errors import GateRefused, UsageError
from bertops.extras import require
from bertops.inference.load import Loaded
from bertops.inference.onnx_model import INT8_NAME, ONNX_NAME, OnnxModel
from bertops.inference.reader import Example
from bertops.inference.readers import complete, reader_of
from bertops.storage import write_json, write_whole

REPORT_NAME = "export.json"

MIN_AGREEMENT = 0.99
"""Share of labels that must be those of the original."""
MAX_METRIC_LOSS = 0.01
"""Share of the original's metric that may be lost."""
NUMBER_TOLERANCE = 0.05
"""Numbers agree that differ by less than this share of the gold's standard deviation."""
_OPSET = 17
EXPORTED_KINDS = ("classification", "regression")


@dataclass(frozen=True)
class Parity:
    """How an exported form compares with the original, on the same rows."""

    agreement: float
    """Share of equal predictions; of numbers, of those within NUMBER_TOLERANCE."""
    metric: float
    reference: float
    """The same metric of the original in fp32."""

    @property
    def least_metric(self) -> float:
        """What the metric must reach; metrics such as negative_mse are below zero."""
        return self.reference - MAX_METRIC_LOSS * abs(self.reference)

    @property
    def holds(self) -> bool:
        """Whether both gates are passed."""
        return self.agreement >= MIN_AGREEMENT and self.metric >= self.least_metric


@dataclass(frozen=True)
class ExportReport:
    """What was exported, and the proof that it agrees."""

    task: str
    metric: str
    rows: int
    """Rows that were compared."""
    bytes: dict[str, int]
    """Size of each form."""
    parity: dict[str, Parity]
    """By form: onnx, int8."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class ExportDisagrees(GateRefused):
    """An exported form predicts too differently from the original."""

    def __init__(self, form: str, parity: Parity) -> None:
        self.form, self.parity = form, parity
        super().__init__(
            f"{form} agrees with {parity.agreement:.2%} of the labels (at least "
            f"{MIN_AGREEMENT:.0%}), metric {parity.metric:.4f} against {parity.reference:.4f} (at "
            f"least {parity.least_metric:.4f}); nothing was written. Serve the original."
        )


def export_onnx(loaded: Loaded, target: Path, data: Path) -> ExportReport:
    """Write model.onnx, model.int8.onnx, tokenizer, configuration and export.json to `target`.

    int8: weights of matrix products per channel, activations as they come (dynamic).

    Args:
        data: Parquet with the columns of the task's splits; the rows that forms are compared on.

    Raises:
        UsageError: the kind of the task has no export, or something other than an earlier export
            stands at `target`.
        ExportDisagrees: a form disagrees with the original.
    """
    card = loaded.task_card()
    if card.kind not in EXPORTED_KINDS:
        raise UsageError(f"export knows {', '.join(EXPORTED_KINDS)}; {card.task!r} is {card.kind}")
    _refuse_what_is_there(target)
    examples = _read_examples(data)
    with write_whole(target) as partial:
        partial.mkdir()
        shutil.copyfile(loaded.directory / "config.json", partial / "config.json")
        _write_graph(loaded, partial / ONNX_NAME)
        _quantize(partial / ONNX_NAME, partial / INT8_NAME)
        report = ExportReport(
            task=card.task,
            metric=card.metric,
            rows=len(examples),
            bytes={name: (partial / name).stat().st_size for name in (ONNX_NAME, INT8_NAME)},
            parity=_compare(loaded, partial, examples),
        )
        loaded.tokenizer.save_pretrained(partial)
        card.write(partial)
        write_json(partial / REPORT_NAME, report.to_dict())
    return report


def _refuse_what_is_there(target: Path) -> None:
    """An earlier export is replaced as a whole, and nothing else."""
    earlier = (target / REPORT_NAME).is_file() and not (target / "model.safetensors").exists()
    if not target.exists() or earlier or (target.is_dir() and not any(target.iterdir())):
        return
    raise UsageError(f"{target} is there and is no earlier export; name a new folder")


def _read_examples(data: Path) -> list[Example]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not data.is_file() or data.suffix != ".parquet":
        what = "not a Parquet file" if data.is_file() else "no such file"
        raise UsageError(f"{data}: {what}; give the validation split of the task")
    try:
        table = pq.read_table(data)
    except pa.ArrowException as error:
        raise UsageError(f"{data}: no whole Parquet file: {error}") from error
    missing = [name for name in ("text", "label") if name not in table.column_names]
    if missing or not table.num_rows:
        what = f"no column {missing[0]!r}" if missing else "no rows"
        raise UsageError(f"{data}: {what}; give the validation split of the task")
    return table.to_pylist()


def _write_graph(loaded: Loaded, path: Path) -> None:
    """Trace the model in fp32 with free batch and length.

    Where our own forward pass knows the model, it is traced: its last layer computes what the
    classifier reads and nothing else.
    """
    require("tasks", "onnx", "onnxruntime", reason="the export needs it")
    import torch

    from bertops.model.quick import quick_forward

    # Eager attention: sdpa's mask handling does not trace with a free length.
    model = type(loaded.model).from_pretrained(loaded.directory, attn_implementation="eager")
    names = [n for n in loaded.tokenizer.model_input_names if n != "token_type_ids"]
    if "token_type_ids" in loaded.tokenizer.model_input_names and hasattr(
        model.config, "type_vocab_size"
    ):
        names.append("token_type_ids")
    sample = {name: torch.ones((2, 16), dtype=torch.int64) for name in names}
    free = {0: "batch", 1: "length"}
    with quick_forward(model, backend="dense"):
        torch.onnx.export(
            _logits_of(model.eval(), names),
            tuple(sample.values()),
            str(path),
            input_names=names,
            output_names=["logits"],
            dynamic_axes={**dict.fromkeys(names, free), "logits": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )


def _quantize(source: Path, target: Path) -> None:
    """Matrix products in int8, activations too; see ONNX Runtime, "Quantize ONNX models".

    Weights have 7 bits: with 8, the sums of pairs overflow on processors without VNNI, and labels
    flip. Embeddings and the head stay as they are: one scale for all words costs labels as well,
    and a look-up has no product to win.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )


def _compare(loaded: Loaded, folder: Path, examples: Sequence[Example]) -> dict[str, Parity]:
    """Parity of both forms; raises `ExportDisagrees` for the first that fails."""
    found = {}
    expected = _predict(loaded, loaded.model, examples)
    for form, name in (("onnx", ONNX_NAME), ("int8", INT8_NAME)):
        answers = _predict(loaded, OnnxModel(folder / name), examples)
        parity = found[form] = _parity(loaded, examples, expected, answers)
        if not parity.holds:
            raise ExportDisagrees(form, parity)
    return found


def _predict(loaded: Loaded, model: Any, examples: Sequence[Example]) -> list[Any]:
    reader = reader_of(loaded, "fp32")
    encoded = reader.encode(complete(loaded, examples))
    return [row["prediction"] for row in reader.predict(model, encoded)]


def _parity(
    loaded: Loaded, examples: Sequence[Example], expected: Sequence[Any], found: Sequence[Any]
) -> Parity:
    card = loaded.task_card()
    gold = [example["label"] for example in examples]
    agree = [a == b for a, b in zip(expected, found, strict=True)]
    if card.kind == "regression":
        near = NUMBER_TOLERANCE * statistics.pstdev(gold)
        agree = [abs(a - b) < near for a, b in zip(expected, found, strict=True)]
    scores = [metrics.score(card.metric, gold, side, card.labels) for side in (found, expected)]
    return Parity(sum(agree) / len(agree), scores[0], scores[1])


def _logits_of(model: Any, names: Sequence[str]) -> Any:
    """The model as a function of positional tensors that gives the logits alone."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: Any) -> Any:
            return self.model(**dict(zip(names, values, strict=True))).logits

    return Logits()
