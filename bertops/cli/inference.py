"""Asking models: predict, fill-mask."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bertops.cli.output import JsonFlag, print_json, table

app = typer.Typer()

Texts = Annotated[list[str], typer.Argument(help="Texts; quote each.", show_default=False)]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Directory, or models:/name@alias.", show_default=False),
]


@app.command()
def predict(
    context: typer.Context,
    texts: Texts,
    model: ModelOption = None,
    second: Annotated[
        list[str] | None, typer.Option("--second", help="Second text, for each text of a pair.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Predict labels or scores for texts."""
    from bertops.inference.readers import predict as predict_texts

    loaded = _load(context.obj, model or "models:/sentiment@champion")
    found = predict_texts(loaded, texts, second)
    if json:
        labels = loaded.task_card().labels
        rows = [{"text": t} | row for t, row in zip(texts, found, strict=True)]
        print_json({"labels": labels, "predictions": rows})
        return
    print(table([_shown(row), text] for text, row in zip(texts, found, strict=True)))


@app.command("fill-mask")
def fill_mask(
    context: typer.Context,
    texts: Texts,
    model: ModelOption = None,
    top: Annotated[int, typer.Option(min=1, help="Proposals for each mask.")] = 5,
    json: JsonFlag = False,
) -> None:
    """Propose words for each [MASK] of a text."""
    from dataclasses import asdict

    from bertops.inference.fill_mask import fill_mask as fill
    from bertops.paths import Paths

    loaded = _load(context.obj, model or str(Paths(context.obj).encoder), masked_lm=True)
    found = fill(loaded, texts, top)
    if json:
        rows = [[[asdict(f) for f in mask] for mask in masks] for masks in found]
        print_json([{"text": t, "masks": row} for t, row in zip(texts, rows, strict=True)])
        return
    for masks in found:
        for mask in masks:
            print(table([f"{f.probability:.3f}", f.token, f.text] for f in mask))


def _load(root: Path, reference: str, *, masked_lm: bool = False) -> Any:
    """Open a model; registry addresses are asked of the registry of the project."""
    from bertops.inference.load import load

    def resolve(address: str) -> Path:
        from bertops import release
        from bertops.paths import Paths
        from bertops.registry.resolve import resolve as find

        paths = Paths(root)
        return find(release.open_registry(paths), address, paths.state / "models")

    return load(reference, resolve, masked_lm=masked_lm)


def _shown(row: dict[str, Any]) -> str:
    """`positive 0.93`, or the number."""
    if row["probabilities"] is None:
        return f"{row['prediction']:.3f}"
    if isinstance(row["prediction"], list):
        return ", ".join(row["prediction"]) or "none"
    return f"{row['prediction']} {max(row['probabilities']):.3f}"
