"""What tests of flows share: a Prefect server, and a place where messages arrive."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A temporary Prefect server for this process; begun once, as that takes a while."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=900):
        yield


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """Messages that came to the address in BERTOPS_NOTIFY."""
    found: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("BERTOPS_NOTIFY", f"json://127.0.0.1:{server.server_port}/")
    yield found
    server.shutdown()
