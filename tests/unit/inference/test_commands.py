"""What the commands print of predictions."""

import json

import pytest
from typer.testing import CliRunner

from bertops.cli import inference as commands
from bertops.cli.app import app
from bertops.errors import UsageError
from bertops.inference.load import load
from tests.unit.encoders import save_encoder


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


@pytest.fixture
def ada(monkeypatch):
    """A text whose first word every tagger takes for a person."""
    found = {"prediction": ["B-PER", "O"], "probabilities": [0.9, 0.8]}
    places = {"words": ["Ada", "wrote"], "offsets": [(0, 3), (4, 9)]}
    monkeypatch.setattr(commands, "_load", lambda *given, **more: None)
    monkeypatch.setattr(commands, "_ask", lambda loaded, examples: [found] * len(examples))
    monkeypatch.setattr(
        "bertops.inference.readers.complete",
        lambda loaded, examples: [example | places for example in examples],
    )
    return "Ada wrote"


def test_tag_prints_one_list_for_several_texts(ada):
    said = CliRunner().invoke(app, ["tag", "-m", "m", "--json", ada, ada])
    rows = json.loads(said.stdout)
    assert [row["text"] for row in rows] == [ada, ada]
    assert rows[1]["entities"][0]["label"] == "PER"


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_fill_mask_takes_a_file_and_tells_which_rows_have_nothing_to_fill(tmp_path):
    encoder = save_encoder(tmp_path / "encoder")
    texts = ["the [MASK] was [MASK]", "no mask", "[MASK] " + "good " * 70, "a [MASK] plot"]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    files = ["-i", str(source), "-o", str(target), "--json"]
    said = CliRunner().invoke(app, ["fill-mask", "-m", str(encoder), "--top", "3", *files])
    assert json.loads(said.stdout) | {"bad_rows": None} == {
        "read": 4, "predicted": 2, "bad": 2, "bad_rows": None
    }  # fmt: skip
    found = lines(target)
    assert [[len(mask) for mask in row["prediction"]] for row in found] == [[3, 3], [3]]
    assert all(p == sorted(p, reverse=True) for row in found for p in row["probabilities"])
    problems = [row["problem"] for row in lines(tmp_path / "out.jsonl.bad.jsonl")]
    assert problems == ["no [MASK] in the text", "73 tokens, the model reads 64"]


def test_faq_takes_a_file_of_questions(classifier, tmp_path):
    (tmp_path / "store.jsonl").write_text(
        '{"question": "is it good", "answer": "very"}\n{"answer": "the plot was poor"}\n'
    )
    source, target = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("id,question\n7,is it good\n8,\n")
    files = ["-i", str(source), "-o", str(target), "--json"]
    store = ["--store", str(tmp_path / "store.jsonl"), "--top", "1"]
    said = CliRunner().invoke(app, ["faq", "-m", str(classifier), *store, *files])
    assert json.loads(said.stdout)["bad"] == 1
    (row,) = lines(target)
    assert (row["id"], row["prediction"][0]["answer"]) == ("7", "very")


@pytest.mark.parametrize("command", [["fill-mask"], ["faq", "--store", "s", "-m", "m"]])
def test_nothing_to_ask_is_told(command, monkeypatch):
    monkeypatch.setattr(commands, "_load", lambda *given, **more: None)
    monkeypatch.setattr("bertops.inference.faq.read_store", lambda path: [])
    monkeypatch.setattr("bertops.inference.faq.Faq", lambda *given: None)
    said = CliRunner().invoke(app, command)
    assert "give texts, or a file of them with --input" in str(said.exception)


@pytest.mark.parametrize(
    "command",
    [
        *(["tag", "a text"], ["summarize", "a text"], ["translate", "a text"]),
        ["answer", "--question", "who", "--passage", "a text"],
    ],
    ids=lambda command: command[0],
)
def test_a_command_of_one_kind_refuses_a_model_of_another(command, classifier):
    said = CliRunner().invoke(app, [*command, "-m", str(classifier)])
    assert isinstance(said.exception, UsageError)
    assert "was trained for classification, and this command wants" in str(said.exception)


def test_a_second_text_that_a_model_does_not_read_is_told(classifier):
    told = "'reviews' reads one text; a second would be ignored"
    said = CliRunner().invoke(app, ["predict", "-m", str(classifier), "good", "--second", "bad"])
    assert str(said.exception) == told
    with pytest.raises(UsageError, match=told):
        load(classifier)(["good"], ["bad"])


def test_a_file_is_tagged_with_the_places_of_what_was_found(tmp_path, ada):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps({"text": ada}) + "\n")
    CliRunner().invoke(app, ["tag", "-m", "m", "-i", str(source), "-o", str(target)])
    (row,) = lines(target)
    assert row["prediction"] == [
        {"label": "PER", "text": "Ada", "start": 0, "end": 3, "score": 0.9}
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["a text", "-o", "out.jsonl"], "--output is for the rows of --input"),
        (["a text", "-i", "in.jsonl", "-o", "o.jsonl"], "texts of its own would be left out"),
        (["-i", "in.jsonl", "-o", "o.jsonl", "--explain", "e.html"], "--explain would be left out"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options, told, monkeypatch):
    monkeypatch.setattr(commands, "_load", lambda *given, **more: None)
    said = CliRunner().invoke(app, ["predict", "-m", "m", *options])
    assert told in str(said.exception)


def test_one_text_in_place_of_a_list_is_told(classifier):
    with pytest.raises(UsageError, match="give a list of texts, not one text"):
        load(classifier)("good")


def test_more_proposals_than_words_are_all_words(tmp_path):
    encoder = save_encoder(tmp_path / "encoder")
    options = ["-m", str(encoder), "--top", "100000", "--json"]
    said = CliRunner().invoke(app, ["fill-mask", "a [MASK] plot", *options])
    (found,) = json.loads(said.stdout)[0]["masks"]
    assert len(found) == load(encoder, masked_lm=True).model.config.vocab_size
