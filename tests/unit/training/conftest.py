import pytest
import torch

from tests import engine


@pytest.fixture(autouse=True)
def _on_one_thread(monkeypatch):
    """The same sums on every machine, and no GPU."""
    monkeypatch.setenv("BERTOPS_DEVICE", "cpu")
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Tokenizer and token stores of the toy run."""
    folder = tmp_path_factory.mktemp("engine")
    engine.write_inputs(folder)
    return folder
