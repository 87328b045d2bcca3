import pytest
import torch

from tests import engine


@pytest.fixture(autouse=True, scope="session")
def _on_one_thread():
    """The same sums on every machine, also in what fixtures train before the first test."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _without_gpu(monkeypatch):
    monkeypatch.setenv("BERTOPS_DEVICE", "cpu")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Tokenizer and token stores of the toy run."""
    folder = tmp_path_factory.mktemp("engine")
    engine.write_inputs(folder)
    return folder
