"""Commands that the program and its documents propose can be typed as they stand."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from bertops.cli.app import app
from bertops.cli.summary import summarize
from bertops.registry.history import ForeignAliasWrite
from bertops.storage import write_json
from tests.conftest import ROOT, tracked_files
from tests.contracts.test_cli import ALL

EVALUATION = {
    "encoder": {
        "heldout": {"all": {"loss": 4.2, "loss_low": 4.1, "loss_high": 4.3, "unigram_loss": 6.6}}
    },
    "tasks": {
        "sentiment": {
            "metric": "accuracy",
            "findings": {"control": "pretraining pays: +3.7 points [1.9, 5.4]"},
            "measured": [
                {"model": model, "split": split, "score": score, **value}
                for model, value in (
                    ("majority", {"value": 0.5, "low": 0.48, "high": 0.52}),
                    ("pretrained", {"value": 0.834, "low": 0.820, "high": 0.8484}),
                )
                for split in ("test", "out_of_domain", "validation")
                for score in ("f1_macro", "accuracy", "mcc")
            ],
        }
    },
}


def parse(line: str) -> None:
    """Hand a line to the command line, which reads it and runs nothing; raises where it is wrong.

    Words in capitals (NAME, VERSION) stand for something; a number fits every such place.
    """
    words = [re.sub(r"^[A-Z]+$", "1", word) for word in shlex.split(line, comments=True)[1:]]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, f"{line}: a command is missing"
        assert words[0] in command.commands, f"{line}: no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    try:
        command.make_context("bertops", words)
    except typer.TyperException as wrong:
        pytest.fail(f"{line}: {wrong.format_message()}")


def told(folder: Path) -> str:
    """The summary of a run."""
    write_json(folder / "reports/evaluation/evaluation.json", EVALUATION)
    return summarize(folder, ["clean"], 12, [])


def test_every_command_that_the_summary_proposes_can_be_typed(tmp_path: Path):
    proposed = re.findall(r"(bertops .+?)(?:   *\S.*)?$", told(tmp_path), re.MULTILINE)
    assert len(proposed) > 4
    for line in proposed:
        parse(line)


def test_the_summary_gives_loss_accuracy_and_f1_with_their_intervals(tmp_path: Path):
    rows = [re.split(r"  +", line.strip()) for line in told(tmp_path).splitlines()]
    mine = [row for row in rows if row[-1] in {"pretrained here", "majority class"}]
    loss = ["masked-LM loss", "4.20 [4.10, 4.30]", "knowing word frequencies alone: 6.60"]
    assert loss in rows
    assert [(what, whose) for what, _, whose in mine] == [
        ("sentiment accuracy", "pretrained here"),
        ("sentiment accuracy", "majority class"),
        ("sentiment F1 (macro)", "pretrained here"),
        ("sentiment F1 (macro)", "majority class"),
        ("sentiment accuracy, out of domain", "pretrained here"),
        ("sentiment accuracy, out of domain", "majority class"),
    ]
    assert {value for _, value, whose in mine if whose == "pretrained here"} == {
        "0.834 [0.820, 0.848]"
    }


def proposed_by_documents(text: str) -> Iterator[str]:
    """Commands in blocks of shell, a line each, and between backticks, where they are whole."""
    for block in re.findall(r"```(?:sh|console)?\n(.*?)```", text, re.DOTALL):
        lines = block.replace("\\\n", " ").splitlines()
        yield from (
            x.strip().removeprefix("$ ") for x in lines if re.match(r"\s*(\$ )?bertops ", x)
        )
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    inline = (" ".join(x.split()) for x in re.findall(r"`(bertops [^`]+)`", outside))
    yield from (line for line in inline if not only_named(line))


def only_named(line: str) -> bool:
    """Whether a command, or an option of it, is spoken of and not proposed; both must be there."""
    name, *options = line.split(" --")
    known = {one for parameter in getattr(ALL.get(name), "params", ()) for one in parameter.opts}
    return name in ALL and {f"--{option}" for option in options} <= known


def test_every_command_in_the_documents_can_be_typed(repository: Path):
    pages = [p for p in tracked_files() if p.suffix == ".md" and "reference" not in p.parts]
    found = [c for page in pages for c in proposed_by_documents((repository / page).read_text())]
    assert len(found) > 40
    for line in found:
        parse(line)


def strings(tree: ast.AST) -> Iterator[str]:
    """Texts in a file of code without its docstrings; what is filled in reads 1."""
    nodes = list(ast.walk(tree))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    pieces = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "1" for p in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and id(node) not in docstrings | pieces:
            yield str(node.value)


def proposed_by_code() -> Iterator[str]:
    """Commands between quotes or backticks, and those that end a text after a colon."""
    for path in (p for folder in ("bertops", "flows") for p in (ROOT / folder).rglob("*.py")):
        for text in strings(ast.parse(path.read_text(encoding="utf-8"))):
            yield from re.findall(r"`(bertops [^`]+)`", text)
            yield from re.findall(r"(?<!\w)'(bertops [^']+)'", text)
            yield from re.findall(r": (bertops (?:[^',.\n]|'[^']*')+)", text)


def test_every_command_that_the_code_proposes_can_be_typed():
    found = [line.rstrip() for line in proposed_by_code()]
    assert len(found) > 10
    for line in found:
        parse(line)


@pytest.mark.parametrize("ending", ["--keep", "--undo"])
def test_an_alias_set_elsewhere_is_settled_by_what_the_error_says(ending: str):
    said = str(ForeignAliasWrite("sentiment", "champion", 1, 2))
    assert f"bertops registry reconcile sentiment {ending}'" in said
