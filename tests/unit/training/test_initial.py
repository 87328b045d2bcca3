"""Carrying on from a model: same tokenizer or an error that says so, new schedule, its weights."""

import json
import shutil

import pytest
from pydantic import ValidationError
from safetensors.torch import load_file

from bertops.model.build import build_model
from bertops.model.initial import DROPOUTS, InitialModelUnfit, load_initial
from bertops.model.params import ModelParams
from bertops.tokenizer.load import load_vocab
from bertops.training.params import PretrainParams
from tests import engine

BERT = {"architecture": "bert", "dropout": 0.0}


@pytest.fixture(scope="module")
def origin(inputs, tmp_path_factory):
    work = tmp_path_factory.mktemp("origin")
    engine.run(inputs, work, engine.toy_params(8))
    return work / "encoder"


def test_training_carries_on_from_its_weights_with_a_new_schedule(origin, inputs, tmp_path):
    params = engine.toy_params(4, log_every_steps=1, optimizer={"learning_rate": 1e-12})
    model = ModelParams(architecture="bert", init_from=str(origin))
    tracker = engine.MemoryTracker()
    report = engine.run(inputs, tmp_path, params.model_copy(update={"model": model}), tracker)
    assert report.steps == 4
    before, after = (load_file(f / "model.safetensors") for f in (origin, tmp_path / "encoder"))
    for name in before:
        assert before[name].allclose(after[name], atol=1e-8)


def test_another_tokenizer_is_refused_with_the_number_of_strangers(origin, inputs):
    vocab = load_vocab(inputs / "tokenizer")
    pieces = {piece + "x" if id > 20 else piece: id for piece, id in vocab.pieces.items()}
    other = type(vocab)(**{**vars(vocab), "pieces": pieces})
    with pytest.raises(InitialModelUnfit, match=rf"{len(pieces) - 21} of our"):
        load_initial(origin, other, 32, next_sentence=False, **BERT)


def test_rows_longer_than_its_positions_are_refused(origin, inputs):
    with pytest.raises(InitialModelUnfit, match="has 32 positions, fewer than"):
        load_initial(origin, load_vocab(inputs / "tokenizer"), 64, next_sentence=False, **BERT)


def test_a_model_that_is_not_there_is_named(inputs, tmp_path):
    with pytest.raises(InitialModelUnfit, match="nowhere"):
        load_initial(tmp_path / "nowhere", load_vocab(inputs / "tokenizer"), 32, False, **BERT)


def test_code_that_comes_with_a_model_is_not_run(origin, inputs, tmp_path):
    shutil.copytree(origin, tmp_path / "evil")
    config = json.loads((tmp_path / "evil/config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoModelForMaskedLM": "evil.Model"}}
    (tmp_path / "evil/config.json").write_text(json.dumps(config))
    program = f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Model: ..."
    (tmp_path / "evil/evil.py").write_text(program)
    with pytest.raises(InitialModelUnfit):
        load_initial(tmp_path / "evil", load_vocab(inputs / "tokenizer"), 32, False, **BERT)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("architecture", DROPOUTS)
def test_the_dropout_asked_for_takes_the_place_of_its_own(architecture, inputs, tmp_path):
    vocab, sizes = load_vocab(inputs / "tokenizer"), {"hidden": 32, "heads": 2, "intermediate": 32}
    fresh = {
        dropout: build_model(
            ModelParams(architecture=architecture, dropout=dropout, layers=2, **sizes), vocab, 0
        )
        for dropout in (0.0, 0.1)
    }
    shutil.copytree(inputs / "tokenizer", tmp_path / "origin")
    fresh[0.1].save_pretrained(tmp_path / "origin")
    asked = {"architecture": architecture, "dropout": 0.0}
    model = load_initial(tmp_path / "origin", vocab, 32, next_sentence=False, **asked)
    shares = [{m.p for m in each.modules() if hasattr(m, "p")} for each in (model, fresh[0.0])]
    assert shares[0] == shares[1] == {0.0}
    for name, value in fresh[0.0].config.to_dict().items():
        if "dropout" in name:
            assert getattr(model.config, name) == value


def test_training_drops_what_the_parameters_say_and_not_what_the_origin_did(
    origin, inputs, tmp_path
):
    model = ModelParams(architecture="bert", init_from=str(origin))
    engine.run(inputs, tmp_path, engine.toy_params(2).model_copy(update={"model": model}))
    before, after = (
        json.loads((folder / "config.json").read_text())["hidden_dropout_prob"]
        for folder in (origin, tmp_path / "encoder")
    )
    assert (before, after) == (0.1, 0.0)


def test_another_architecture_than_the_one_named_is_refused(origin, inputs):
    vocab, asked = load_vocab(inputs / "tokenizer"), BERT | {"architecture": "modernbert"}
    with pytest.raises(InitialModelUnfit, match=r"is a bert; set model.architecture"):
        load_initial(origin, vocab, 32, next_sentence=False, **asked)


GIVEN = {
    "preset": "tiny",
    "layers": 2,
    "max_positions": 64,
    "local_attention": 64,
    "attention_pattern": "GL",
    "classifier_pooling": "cls",
    "initializer_range": 0.01,
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_comes_from_init_from_cannot_be_asked_for_beside_it(name):
    with pytest.raises(ValidationError, match=f"init_from brings its own; leave out {name}"):
        ModelParams(init_from="somewhere", **{name: GIVEN[name]})


def test_parameters_with_init_from_are_the_same_after_a_trip_through_a_file():
    params = ModelParams(architecture="bert", init_from="somewhere", dropout=0.1)
    assert ModelParams.model_validate(params.model_dump()) == params


def test_rows_are_not_held_against_positions_that_init_from_brings():
    values = engine.toy_params().model_dump()
    values["model"] = {"architecture": "bert", "init_from": "somewhere"}
    values["pretraining"]["packing"]["row_length"] = 1024
    assert PretrainParams.model_validate(values).pretraining.packing.row_length == 1024
