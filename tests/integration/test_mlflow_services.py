"""Against real servers: the whole life of a version over HTTP, and serving it."""

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from bertops.inference.load import load
from bertops.inference.readers import predict
from bertops.registry.client import Registry
from bertops.registry.decide import decide
from bertops.registry.gates import Evidence
from bertops.registry.params import GateParams, RegistryParams
from bertops.registry.promote import history, promote, rollback
from bertops.registry.register import Facts, register
from bertops.registry.resolve import resolve
from bertops.registry.smoke import smoke_test
from bertops.storage import hash_tree
from bertops.tracking.mlflow_tracker import MLflowTracker
from bertops.tracking.store import Store
from tests.integration.mlflow_models import fresh_store, tiny_model
from tests.integration.mlflow_server import free_port, mlflow_server, postgres, wait_for
from tests.unit.registry.comparisons import comparison
from tests.unit.registry.test_signing import key_pair

pytestmark = pytest.mark.service

FACTS = Facts(lineage={"bertops.git_commit": "c" * 40, "bertops.dvc_lock": "lock"})


def evidence(champion):
    control = comparison("better")
    return Evidence("accuracy", 0.8, 0.78, 0.82, 1000, 0.5, against_control=control, leaked=0)


def test_a_version_lives_its_life_on_a_server_with_postgresql(tmp_path):
    secret, public = key_pair(tmp_path, "owner")
    with postgres() as database, mlflow_server(tmp_path, database) as address:
        registry = Registry(address, public_key=public)
        models = [tiny_model(tmp_path / f"model-{seed}", seed=seed) for seed in (1, 2)]
        with MLflowTracker(Store(address, None), "training", "x", tmp_path / "run.json") as run:
            run.log_metrics({"loss": 1.0}, 1)
            run.set_content(hash_tree(models[0]))
        for model in models:
            register(registry, "sentiment", model, FACTS, signing_key=secret)
        trained = registry.client.get_run(registry.version("sentiment", 1).run_id)
        assert trained.info.run_name == "x"

        loose = GateParams()
        promote(registry, decide(registry, "sentiment", 1, evidence, loose), RegistryParams())
        local = resolve(registry, "models:/sentiment@champion", tmp_path / "cache")
        assert predict(load(local), ["good"]) == predict(load(models[0]), ["good"])

        second = decide(registry, "sentiment", 2, evidence, loose)
        gates = tuple(gate for gate in second.gates if gate.passed)
        promote(registry, type(second)("sentiment", 2, 1, gates), RegistryParams())
        rollback(
            registry,
            "sentiment",
            why="test",
            smoke_test=lambda n: smoke_test(registry, "sentiment", n, tmp_path / "cache"),
        )
        assert registry.aliases("sentiment") == {"champion": 1}
        kinds = [entry.event.kind for entry in history(registry, "sentiment")]
        assert kinds == ["registered", "registered", "promoted", "promoted", "rolled_back"]


@contextlib.contextmanager
def served(uri, folder, address):
    """`mlflow models serve` with everything that would use the network pointed at nothing."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "-m", uri),
        *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)),
    ]
    nowhere = "http://127.0.0.1:9"
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": address,
        "HF_HUB_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), nowhere),
        "NO_PROXY": "127.0.0.1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    log = folder / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process, log)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def ask(url, body, content_type="application/json"):
    """Status and parsed answer of a request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


BAD = {
    "no text column": {"dataframe_records": [{"words": "good"}]},
    "a number for a text": {"dataframe_records": [{"text": 3}]},
    "nothing for a text": {"dataframe_records": [{"text": None}]},
    "an empty text": {"dataframe_records": [{"text": "  "}]},
    "a list for a text": {"dataframe_records": [{"text": ["good"]}]},
    "too many texts": {"dataframe_records": [{"text": "good"}] * 1025},
    "a text without end": {"dataframe_records": [{"text": "good " * 300_000}]},
    "another key": {"texts": ["good"]},
    "two keys": {"inputs": ["good"], "instances": ["good"]},
    "a list": ["good"],
    "broken JSON": b'{"dataframe_records": [',
    "no JSON": b"\xff\xfe",
    "nothing": b"",
}


def test_a_version_is_served_offline_and_bad_requests_get_4xx(tmp_path):
    store = fresh_store(tmp_path / "mlflow.db")
    registry = Registry(store.address, store.artifacts)
    register(registry, "sentiment", tiny_model(tmp_path / "model"), FACTS)
    promote(registry, decide(registry, "sentiment", 1, evidence, GateParams()), RegistryParams())
    with served("models:/sentiment@champion", tmp_path, store.address) as url:
        expected = predict(load(tmp_path / "model"), ["good movie", "bad"])
        for body in (
            {"dataframe_records": [{"text": "good movie"}, {"text": "bad"}]},
            {"dataframe_split": {"columns": ["text"], "data": [["good movie"], ["bad"]]}},
            {"inputs": {"text": ["good movie", "bad"]}},
        ):
            status, answer = ask(url, body)
            assert status == 200, answer
            assert [row["prediction"] for row in answer["predictions"]] == [
                row["prediction"] for row in expected
            ]
            assert answer["predictions"][0]["probabilities"] == pytest.approx(
                expected[0]["probabilities"], abs=1e-4
            )
        long = {"dataframe_records": [{"text": "good " * 20_000}]}
        assert ask(url, long)[0] == 200
        statuses = {name: ask(url, body) for name, body in BAD.items()}
        wrong = {name: found for name, found in statuses.items() if not 400 <= found[0] < 500}
        assert not wrong
        assert ask(url, b"x", "text/plain")[0] == 415
        assert ask(url, {"dataframe_records": [{"text": "good"}]})[0] == 200


class Lister(http.server.BaseHTTPRequestHandler):
    """An artifact server that lists files outside of the folder that was asked for."""

    climbing = "../../climbed.txt"

    def do_GET(self):
        listing = "artifacts?" in self.path
        files = [{"path": self.climbing, "is_dir": False, "file_size": 1}]
        body = json.dumps({"files": files}).encode() if listing else b"x"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize(
    "climbing", ["../../climbed.txt", "{root}/climbed.txt", "%2e%2e/climbed.txt"]
)
def test_a_server_that_lists_climbing_paths_writes_nothing(tmp_path, monkeypatch, climbing):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(Lister, "climbing", climbing.format(root=tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lister)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}/api/2.0/mlflow-artifacts/artifacts/1"
    store = fresh_store(tmp_path / "mlflow.db")
    registry = Registry(store.address, store.artifacts)
    registry.client.create_registered_model("m")
    registry.client.create_model_version("m", place, tags={"bertops.content": "0" * 64})
    with pytest.raises(Exception, match=r"."):
        resolve(registry, "models:/m/1", tmp_path / "deep/down/cache")
    server.shutdown()
    assert not list(tmp_path.rglob("climbed*"))
