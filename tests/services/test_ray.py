"""Cleaning and tokenizing on a Ray cluster of two nodes, real raylets on loopback, of which one is
taken away."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest

from bertops.corpus.clean import clean_corpus
from bertops.corpus.params import CorpusParams, SourceParams
from bertops.corpus.tables import RAW, write_parts
from bertops.document import SplitParams, document_id
from bertops.parallel import ParallelParams
from bertops.pretraining.params import TokenizeParams
from bertops.pretraining.tokenize import tokenize_corpus
from bertops.storage import hash_tree
from tests import engine
from tests.services.ask import wait_for

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]

SHARDS, DOCUMENTS = 8, 400
SENTENCES = (
    "The film begins in a small town where nothing has happened for a hundred years.",
    "Its hero is a tired teacher who finds a letter that was meant for somebody else.",
    "I did not expect much of it, and was surprised by how well the parts were cast.",
    "The music is quiet, the camera takes its time, and the end is not what one thinks.",
    "My only complaint is that the second half is too long for what it has to tell.",
)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without processors, so that all work is done on the two nodes beside it."""
    pytest.importorskip("ray", reason="needs the extra ray")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    made.shutdown()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Documents of a few sentences each, copies among them, in eight shards."""
    texts = []
    for number in range(SHARDS * DOCUMENTS):
        turned = SENTENCES[number % 5 :] + SENTENCES[: number % 5]
        told = [f"{s[:-1]}, said visitor {number // (i + 2)}." for i, s in enumerate(turned)]
        texts.append("\n".join(told))
    rows = [
        {"doc_id": document_id(t), "source": "films", "file": "f", "row": i, "text": t}
        for i, t in enumerate(texts)
    ]
    table = pl.DataFrame(rows, RAW).unique("doc_id", keep="first", maintain_order=True)
    write_parts([table], tmp_path / "raw", RAW, DOCUMENTS, 1 << 40)
    return tmp_path / "raw"


def clean(raw: Path, target: Path, parallel: ParallelParams) -> str:
    """Hash of everything that cleaning wrote."""
    params = CorpusParams(sources=(SourceParams(name="films", path="x.csv"),), parallel=parallel)
    target.mkdir()
    clean_corpus({"films": raw}, {}, target / "corpus", target / "ledger", params, SplitParams())
    return hash_tree(target)


def on_cluster(cluster: Any) -> ParallelParams:
    return ParallelParams(engine="ray", ray_address=cluster.address)


def is_at_work(node: Any) -> bool:
    """Whether a worker of the node runs a task: Ray names its process after it."""
    (raylet,) = node.all_processes["raylet"]
    workers = psutil.Process(raylet.process.pid).children(recursive=True)
    titles = [" ".join(worker.cmdline()) for worker in workers]
    return any(t.startswith("ray::") and "IDLE" not in t for t in titles)


def test_two_nodes_write_the_bytes_of_one_machine(cluster: Any, raw: Path, tmp_path: Path):
    expected = clean(raw, tmp_path / "alone", ParallelParams(workers=1))
    assert clean(raw, tmp_path / "cluster", on_cluster(cluster)) == expected


def test_two_nodes_tokenize_to_the_bytes_of_one_machine(cluster: Any, raw: Path, tmp_path: Path):
    engine.write_tokenizer(tmp_path / "tokenizer")
    for split in ("train", "validation"):
        (tmp_path / "corpus" / split).mkdir(parents=True)
        for part in sorted(raw.glob("part-*.parquet"))[:: 1 if split == "train" else 4]:
            shutil.copy(part, tmp_path / "corpus" / split / part.name)
    params = TokenizeParams(shard_tokens=50_000)
    places = (tmp_path / "corpus", tmp_path / "tokenizer")
    expected = tokenize_corpus(*places, tmp_path / "alone", params, ParallelParams())
    assert expected.splits["train"].documents == SHARDS * DOCUMENTS
    assert tokenize_corpus(*places, tmp_path / "cluster", params, on_cluster(cluster)) == expected
    assert hash_tree(tmp_path / "cluster") == hash_tree(tmp_path / "alone")


def test_a_node_that_is_taken_away_costs_time_and_nothing_else(
    cluster: Any, raw: Path, tmp_path: Path
):
    """The node dies as a machine does, with no warning, while it works on a shard."""
    expected = clean(raw, tmp_path / "alone", ParallelParams(workers=1))
    doomed = sorted(cluster.worker_nodes, key=lambda node: node.node_id)[0]
    killed: list[float] = []

    def take_away() -> None:
        wait_for(lambda: is_at_work(doomed), seconds=120)
        doomed.kill_raylet()
        doomed.kill_all_processes(check_alive=False, allow_graceful=False)
        killed.append(time.monotonic())

    killer = threading.Thread(target=take_away)
    killer.start()
    found = clean(raw, tmp_path / "cluster", on_cluster(cluster))
    ended = time.monotonic()
    killer.join()
    assert killed
    assert killed[0] < ended
    assert found == expected
