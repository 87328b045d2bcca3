"""What `bertops doctor` finds out about servers and remotes."""

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from importlib.metadata import version
from pathlib import Path

import pytest

from bertops.cli import doctor

Start = Callable[..., str]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a server that says it is an MLflow; its address is set as the one to ask."""
    begun: list[http.server.ThreadingHTTPServer] = []

    def start(told: str, accounts: bool = True, skew_s: float = 0, code: int = 200) -> str:
        class Server(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = "Authorization" in self.headers or not accounts
                self.send_response(code if known else 401)
                self.end_headers()
                self.wfile.write(told.encode())

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(time.time() + skew_s, usegmt=True)

            def log_message(self, *arguments: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        begun.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "somebody")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a password")
    yield start
    for server in begun:
        server.shutdown()


def told(address: str) -> dict[str, doctor.Check]:
    """Findings on an MLflow server, by what they are about."""
    found = doctor._server("mlflow", address, "/version", doctor.MLFLOW_DATA, "")
    return {check.what: check for check in found}


OURS = version("mlflow")


def test_a_good_server_is_ok_and_no_more_is_said(start: Start):
    (check,) = told(start(OURS)).values()
    assert check.state == "ok"


def test_a_server_without_accounts_is_a_warning_with_its_remedy(start: Start):
    check = told(start(OURS, accounts=False))["mlflow accounts"]
    assert (check.state, check.found) == ("warning", "anybody may come in")
    assert "basic-auth" in check.advice


def test_another_version_is_named_beside_ours(start: Start):
    check = told(start("2.0.1"))["mlflow"]
    assert check.state == "note"
    assert "2.0.1" in check.found
    assert OURS in check.advice


@pytest.mark.parametrize("skew_s", [-3600, 3600])
def test_a_clock_that_differs_is_a_warning_with_its_remedy(start: Start, skew_s: int):
    check = told(start(OURS, skew_s=skew_s))["mlflow clock"]
    assert check.state == "warning"
    assert check.found[0] == ("+" if skew_s > 0 else "-")
    assert 3590 < abs(int(check.found.split()[0])) < 3610
    assert "NTP" in check.advice


def test_a_server_that_refuses_our_user_or_is_gone_is_bad(start: Start):
    (refused,) = told(start(OURS, code=403)).values()
    assert refused.state == "bad"
    assert "refuses our user" in refused.found
    (gone,) = told("http://127.0.0.1:9").values()
    assert gone.state == "bad"
    assert "does not answer" in gone.found


def test_a_remote_is_written_to_and_left_as_it_was(tmp_path: Path):
    project, store = tmp_path / "project", tmp_path / "store"
    project.mkdir()
    (tmp_path / "file").touch()
    subprocess.run(["git", "init", "-q", project], check=True)
    for words in (["init", "-q"], ["remote", "add", "good", str(store)],
                  ["remote", "add", "bad", str(tmp_path / "file/below")]):  # fmt: skip
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=project, check=True)
    good, bad = doctor._remotes(project)
    assert (good.state, good.found) == ("ok", f"good {store} is writable")
    assert not [path for path in store.rglob("*") if path.is_file()]
    assert bad.state == "bad"
    assert "cannot be written to: NotADirectoryError" in bad.found


def test_no_remote_is_a_note(tmp_path: Path):
    for words in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(words, cwd=tmp_path, check=True)
    (check,) = doctor._remotes(tmp_path)
    assert check.state == "note"
