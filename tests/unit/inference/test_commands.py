"""What the commands print of predictions."""

import json

import pytest
from typer.testing import CliRunner

from bertops.cli import inference as commands
from bertops.cli.app import app

ADA = {"words": ["Ada", "wrote"], "offsets": [(0, 3), (4, 9)]}


@pytest.mark.parametrize(
    ("prediction", "probabilities", "shown"),
    [
        ("positive", [0.1, 0.93], "positive 0.930"),
        (2.5, None, "2.500"),
        (["a", "b"], [0.8, 0.7], "a, b"),
        ([], [0.1, 0.2], "none"),
        ("Ein Hund läuft.", None, "Ein Hund läuft."),
    ],
)
def test_predict_shows_what_any_kind_predicts(prediction, probabilities, shown, monkeypatch):
    found = [{"prediction": prediction, "probabilities": probabilities}]
    monkeypatch.setattr(commands, "_load", lambda *given, **more: None)
    monkeypatch.setattr(commands, "_ask", lambda loaded, examples: found)
    said = CliRunner().invoke(app, ["predict", "-m", "m", "a text"])
    assert said.stdout.strip() == f"{shown}  a text"


def test_tag_prints_one_list_for_several_texts(monkeypatch):
    text = "Ada wrote"
    found = {"prediction": ["B-PER", "O"], "probabilities": [0.9, 0.8]}
    monkeypatch.setattr(commands, "_load", lambda *given, **more: None)
    monkeypatch.setattr(commands, "_ask", lambda loaded, examples: [found] * len(examples))
    monkeypatch.setattr(
        "bertops.inference.readers.complete",
        lambda loaded, examples: [example | ADA for example in examples],
    )
    said = CliRunner().invoke(app, ["tag", "-m", "m", "--json", text, text])
    rows = json.loads(said.stdout)
    assert [row["text"] for row in rows] == [text, text]
    assert rows[1]["entities"][0]["label"] == "PER"
