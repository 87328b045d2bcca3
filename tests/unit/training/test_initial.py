"""Carrying on from a model: same tokenizer or an error that says so, new schedule, its weights."""

import json
import shutil

import pytest
from pydantic import ValidationError
from safetensors.torch import load_file

from bertops.model.initial import InitialModelUnfit, load_initial
from bertops.model.params import ModelParams
from bertops.tokenizer.load import load_vocab
from tests import engine


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
        load_initial(origin, other, 32, next_sentence=False)


def test_rows_longer_than_its_positions_are_refused(origin, inputs):
    with pytest.raises(InitialModelUnfit, match="has 32 positions, fewer than"):
        load_initial(origin, load_vocab(inputs / "tokenizer"), 64, next_sentence=False)


def test_a_model_that_is_not_there_is_named(inputs, tmp_path):
    with pytest.raises(InitialModelUnfit, match="nowhere"):
        load_initial(tmp_path / "nowhere", load_vocab(inputs / "tokenizer"), 32, False)


def test_code_that_comes_with_a_model_is_not_run(origin, inputs, tmp_path):
    shutil.copytree(origin, tmp_path / "evil")
    config = json.loads((tmp_path / "evil/config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoModelForMaskedLM": "evil.Model"}}
    (tmp_path / "evil/config.json").write_text(json.dumps(config))
    program = f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Model: ..."
    (tmp_path / "evil/evil.py").write_text(program)
    with pytest.raises(InitialModelUnfit):
        load_initial(tmp_path / "evil", load_vocab(inputs / "tokenizer"), 32, False)
    assert not (tmp_path / "ran").exists()


def test_sizes_and_init_from_exclude_each_other():
    with pytest.raises(ValidationError, match="sizes come from init_from; leave out layers"):
        ModelParams(init_from="somewhere", layers=2)
