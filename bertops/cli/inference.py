"""Asking models: predict, fill-mask, answer, tag, summarize, translate, embed, faq, export."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bertops.cli.output import JsonFlag, print_json, table
from bertops.cli.tune import tune
from bertops.errors import UsageError

if TYPE_CHECKING:
    from bertops.inference.load import Loaded
    from bertops.inference.reader import Example, Prediction
    from bertops.inference.stream import Ask, Check
    from bertops.inference.tag import Entity

app = typer.Typer()
app.command()(tune)

Texts = Annotated[list[str] | None, typer.Argument(help="Texts; quote each.", show_default=False)]
Model = Annotated[str, typer.Option("--model", "-m", help="Directory, or models:/name@alias.")]
Input = Annotated[
    Path | None,
    typer.Option(
        "--input", "-i", help="File of texts instead: .jsonl(.gz|.zst), .csv, .tsv, .parquet."
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="File of predictions: .jsonl, .csv, .parquet.")
]
Column = Annotated[str, typer.Option(help="Column of the texts in the input file.")]
SecondColumn = Annotated[
    str | None, typer.Option(help="Column of the second texts, for a model of pairs.")
]


@app.command()
def predict(
    context: typer.Context,
    texts: Texts = None,
    model: Model = "models:/sentiment@champion",
    second: Annotated[
        list[str] | None, typer.Option("--second", help="Second text, for each text of a pair.")
    ] = None,
    input: Input = None,
    output: Output = None,
    text_column: Column = "text",
    second_column: SecondColumn = None,
    explain: Annotated[
        Path | None, typer.Option(help="Write an HTML page that shows which words decided.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Predict labels or scores for texts, or for the rows of a file."""
    from bertops.inference.readers import check_second

    loaded = _load(context.obj, model)
    if second or second_column:
        check_second(loaded)
    if source := _source(input, output, texts, explain):
        columns = {"text": text_column} | ({"text_b": second_column} if second_column else {})
        _ask_file(partial(_ask, loaded), source, output, columns, json)
        return
    found = _ask(loaded, _examples(texts, second))
    if explain is not None:
        from bertops.inference.explain import explain_page

        explain_page(loaded, list(texts or ()), second, explain)
    if json:
        rows = [{"text": t} | row for t, row in zip(texts or (), found, strict=True)]
        print_json({"labels": loaded.task_card().labels, "predictions": rows})
        return
    print(table([_shown(row), text] for text, row in zip(texts or (), found, strict=True)))


@app.command("fill-mask")
def fill_mask(
    context: typer.Context,
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts with [MASK] in them; quote each.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Directory, or models:/name@alias; models/encoder."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Proposals for each mask.")] = 5,
    input: Input = None,
    output: Output = None,
    text_column: Column = "text",
    json: JsonFlag = False,
) -> None:
    """Propose words for each [MASK] of a text."""
    from bertops.inference.fill_mask import fill_mask as fill
    from bertops.inference.fill_mask import problem_of
    from bertops.paths import Paths

    loaded = _load(context.obj, model or str(Paths(context.obj).encoder), masked_lm=True)

    def ask(examples: Sequence["Example"]) -> list["Prediction"]:
        found = fill(loaded, [example["text"] for example in examples], top)
        return [
            {
                "prediction": [[f.token for f in mask] for mask in masks],
                "probabilities": [[f.probability for f in mask] for mask in masks],
            }
            for masks in found
        ]

    def check(example: "Example") -> str | None:
        return problem_of(loaded, example["text"])

    if source := _source(input, output, texts):
        _ask_file(ask, source, output, {"text": text_column}, json, check)
        return
    given = [example["text"] for example in _examples(texts)]
    found = fill(loaded, given, top)
    if json:
        rows = [[[asdict(f) for f in mask] for mask in masks] for masks in found]
        print_json([{"text": t, "masks": row} for t, row in zip(given, rows, strict=True)])
        return
    for masks in found:
        for mask in masks:
            print(table([f"{f.probability:.3f}", f.token, f.text] for f in mask))


@app.command()
def answer(
    context: typer.Context,
    model: Model,
    question: Annotated[str | None, typer.Option(help="What to find out.")] = None,
    passage: Annotated[str | None, typer.Option(help="Text that may hold the answer.")] = None,
    input: Input = None,
    output: Output = None,
    passage_column: Column = "context",
    question_column: Column = "question",
    json: JsonFlag = False,
) -> None:
    """Find the answer to a question in a passage."""
    loaded = _load(context.obj, model, kind="answering")
    if source := _source(input, output, question or passage):
        columns = {"text": passage_column, "text_b": question_column}
        _ask_file(partial(_ask, loaded), source, output, columns, json)
        return
    found = _ask(loaded, [{"text": passage or "", "text_b": question or ""}])
    said = [found[0]["prediction"] or "(no answer)", f"{found[0]['probabilities'][0]:.3f}"]
    _print([question or ""], found, json, lambda text, row: said)


@app.command()
def tag(
    context: typer.Context,
    model: Model,
    texts: Texts = None,
    input: Input = None,
    output: Output = None,
    text_column: Column = "text",
    json: JsonFlag = False,
) -> None:
    """Find the named entities of texts."""
    from bertops.inference.readers import complete
    from bertops.inference.tag import entities

    loaded = _load(context.obj, model, kind="tagging")

    def named_in(examples: Sequence["Example"]) -> list[list["Entity"]]:
        ready = complete(loaded, examples)
        return [entities(one, row) for one, row in zip(ready, _ask(loaded, ready), strict=True)]

    def ask(examples: Sequence["Example"]) -> list["Prediction"]:
        return [
            {"prediction": [asdict(e) for e in named], "probabilities": [e.score for e in named]}
            for named in named_in(examples)
        ]

    if source := _source(input, output, texts):
        _ask_file(ask, source, output, {"text": text_column}, json)
        return
    tagged = named_in(_examples(texts))
    if json:
        rows = zip(texts or (), tagged, strict=True)
        print_json([{"text": t, "entities": [asdict(e) for e in named]} for t, named in rows])
        return
    for named in tagged:
        if named:
            print(table([e.label, e.text, f"{e.start}-{e.end}", f"{e.score:.3f}"] for e in named))
        else:
            print("(no entity)")


@app.command()
def summarize(
    context: typer.Context,
    model: Model,
    texts: Texts = None,
    input: Input = None,
    output: Output = None,
    text_column: Column = "text",
    json: JsonFlag = False,
) -> None:
    """Pick the sentences that say most."""
    loaded = _load(context.obj, model, kind="summarization")
    _run(loaded, texts, input, output, text_column, json)


@app.command()
def translate(
    context: typer.Context,
    model: Model,
    texts: Texts = None,
    input: Input = None,
    output: Output = None,
    text_column: Column = "text",
    json: JsonFlag = False,
) -> None:
    """Translate texts."""
    loaded = _load(context.obj, model, kind="translation")
    _run(loaded, texts, input, output, text_column, json)


@app.command()
def embed(
    context: typer.Context,
    texts: Texts = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Directory, or models:/name@alias; models/encoder."),
    ] = None,
    input: Input = None,
    output: Output = None,
    text_column: Column = "text",
) -> None:
    """Turn texts into vectors of length 1, printed as JSON."""
    from bertops.inference.embed import vectors_of
    from bertops.paths import Paths

    loaded = _load(context.obj, model or str(Paths(context.obj).encoder))

    def ask(examples: Sequence["Example"]) -> list["Prediction"]:
        rows = vectors_of(loaded, [example["text"] for example in examples]).tolist()
        return [{"prediction": row, "probabilities": None} for row in rows]

    if source := _source(input, output, texts):
        _ask_file(ask, source, output, {"text": text_column}, True)
        return
    found = ask(_examples(texts))
    print_json(
        [{"text": t, "vector": r["prediction"]} for t, r in zip(texts or (), found, strict=True)]
    )


@app.command()
def faq(
    context: typer.Context,
    store: Annotated[Path, typer.Option(help="JSON Lines with `answer` and perhaps `question`.")],
    model: Model,
    questions: Annotated[
        list[str] | None, typer.Argument(help="Questions; quote each.", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Answers for each question.")] = 3,
    input: Input = None,
    output: Output = None,
    question_column: Annotated[
        str, typer.Option(help="Column of the questions in the input file.")
    ] = "question",
    json: JsonFlag = False,
) -> None:
    """Find the stored answers that fit a question best."""
    from bertops.inference.faq import Faq, read_store

    entries = read_store(store)
    stored = Faq(_load(context.obj, model), entries)

    def ask(examples: Sequence["Example"]) -> list["Prediction"]:
        found = stored.ask([example["text"] for example in examples], top)
        return [
            {"prediction": [asdict(one) for one in row], "probabilities": None} for row in found
        ]

    if source := _source(input, output, questions):
        _ask_file(ask, source, output, {"text": question_column}, json)
        return
    given = [example["text"] for example in _examples(questions)]
    found = stored.ask(given, top)
    if json:
        rows = [[asdict(one) for one in row] for row in found]
        print_json([{"question": q, "found": row} for q, row in zip(given, rows, strict=True)])
        return
    for row in found:
        print(table([f"{one.score:.3f}", one.answer] for one in row))


@app.command()
def export(
    context: typer.Context,
    model: Model,
    target: Annotated[Path, typer.Argument(help="Folder to write.")],
    data: Annotated[
        Path, typer.Option(help="Parquet with `text`, `label` to compare on: a validation split.")
    ],
    json: JsonFlag = False,
) -> None:
    """Export a classifier to ONNX and int8; refuse what does not agree with the original."""
    from bertops.inference.export import export_onnx

    report = export_onnx(_load(context.obj, model), target, data)
    if json:
        print_json(report)
        return
    rows = [
        [name, f"{p.agreement:.4f}", f"{p.metric:.4f}", f"{p.reference:.4f}"]
        for name, p in report.parity.items()
    ]
    print(table([["form", "labels agree", report.metric, "original"], *rows]))


def _run(
    loaded: "Loaded",
    texts: Sequence[str] | None,
    input: Path | None,
    output: Path | None,
    column: str,
    json: bool,
) -> None:
    """A command whose predictions are texts."""
    if source := _source(input, output, texts):
        _ask_file(partial(_ask, loaded), source, output, {"text": column}, json)
        return
    found = _ask(loaded, _examples(texts))
    _print(texts or (), found, json, lambda text, row: [row["prediction"]])


def _load(
    root: Path, reference: str, *, masked_lm: bool = False, kind: str | None = None
) -> "Loaded":
    """Open a model; registry addresses are asked of the registry of the project.

    Raises:
        UsageError: there is none, or what it was trained for is not `kind`.
    """
    from bertops.asking import load

    loaded = load(reference, root, masked_lm=masked_lm)
    if kind is not None and loaded.task_card().kind != kind:
        raise UsageError(
            f"{reference} was trained for {loaded.task_card().kind}, "
            f"and this command wants {kind}; bertops predict asks any model"
        )
    return loaded


def _examples(
    texts: Sequence[str] | None, second: Sequence[str] | None = None
) -> list[dict[str, str]]:
    if not texts:
        raise UsageError("give texts, or a file of them with --input")
    if second and len(second) != len(texts):
        raise UsageError(f"{len(texts)} texts and {len(second)} second texts; give one for each")
    pairs = zip(texts, second or texts, strict=True)
    return [{"text": text, "text_b": other} if second else {"text": text} for text, other in pairs]


def _ask(loaded: "Loaded", examples: Sequence["Example"]) -> list["Prediction"]:
    from bertops.inference.readers import ask

    return ask(loaded, examples)


def _source(
    source: Path | None, target: Path | None, given: object, explain: Path | None = None
) -> Path | None:
    """The file to ask, if one is asked.

    Raises:
        UsageError: options that do nothing without a file, or beside one.
    """
    if source is None:
        if target is not None:
            raise UsageError("--output is for the rows of --input; what is given here is printed")
        return None
    if given or explain:
        what = "texts of its own" if given else "--explain"
        raise UsageError(f"--input reads a file, and {what} would be left out; ask them apart")
    return source


def _ask_file(
    ask: "Ask",
    source: Path,
    target: Path | None,
    columns: dict[str, str],
    json: bool,
    check: "Check | None" = None,
) -> None:
    from bertops.inference.stream import predict_file

    if target is None:
        raise UsageError("--input wants --output, a file for the predictions")
    report = predict_file(ask, source, target, columns, check=check)
    if json:
        print_json(report)
        return
    print(f"{report.predicted:,} of {report.read:,} rows predicted: {target}")
    if report.bad_rows:
        print(f"{report.bad:,} rows could not be asked; why: {report.bad_rows}")


def _print(
    texts: Sequence[str],
    found: Sequence["Prediction"],
    json: bool,
    show: Callable[[str, "Prediction"], Sequence[str]],
) -> None:
    if json:
        print_json([{"text": t} | row for t, row in zip(texts, found, strict=True)])
        return
    print(table(show(text, row) for text, row in zip(texts, found, strict=True)))


def _shown(row: dict[str, Any]) -> str:
    """`positive 0.93`, or the number, the labels, the text."""
    match row["prediction"]:
        case float(number):
            return f"{number:.3f}"
        case list(labels):
            return ", ".join(labels) or "none"
        case text if row["probabilities"] is None:
            return text
        case label:
            return f"{label} {max(row['probabilities']):.3f}"
