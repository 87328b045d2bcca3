"""DVC remotes as teams have them: an S3 endpoint (moto) and a real sshd, both on loopback."""

import getpass
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bertops import versioning
from tests.conftest import begin_repository
from tests.services.ask import free_port

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

DVC = """
stages:
  first: {cmd: cp in.txt first.txt, deps: [in.txt], outs: [first.txt]}
  second: {cmd: cat first.txt first.txt > second.txt, deps: [first.txt], outs: [second.txt]}
"""
IGNORED = "/.dvc/cache\n/.dvc/tmp\n/first.txt\n/second.txt\n"


@dataclass
class Remote:
    """A place to push to, and how to stop and harm it."""

    settings: dict[str, str]
    objects: Path | None
    """Folder of its files, where it has one."""
    server: "subprocess.Popen[bytes]"

    def configure(self, project: Path) -> None:
        """Make it the default remote of a project."""
        for name, value in self.settings.items():
            words = ["remote", "modify", "store", name, value]
            if name == "url":
                words = ["remote", "add", "--force", "--default", "store", value]
            subprocess.run([sys.executable, "-m", "dvc", *words], cwd=project, check=True)


@pytest.fixture(params=["s3", "ssh"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    found = request.getfixturevalue(request.param)
    yield found
    found.server.kill()


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    pytest.importorskip("moto", reason="needs moto (extra: services)")
    boto3 = pytest.importorskip("boto3")
    port = free_port()
    log = (tmp_path / "moto.log").open("wb")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=log, stderr=log)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-is-none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    address = f"http://127.0.0.1:{port}"
    client = boto3.client("s3", endpoint_url=address)
    until_it_works(lambda: client.create_bucket(Bucket="team"))
    return Remote({"url": "s3://team/bertops", "endpointurl": address}, None, server)


@pytest.fixture
def ssh(tmp_path: Path) -> Remote:
    sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if sshd is None:
        pytest.skip("needs sshd (apt-get install openssh-server)")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd, begun by root, separates privileges
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(key, check=True)
    port = free_port()
    options = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "user.pub", "PasswordAuthentication": "no",
        "StrictModes": "no", "UsePAM": "no", "PidFile": "none", "PermitRootLogin": "yes",
        "Subsystem": "sftp internal-sftp",
    }  # fmt: skip
    (tmp_path / "sshd.conf").write_text("".join(f"{k} {v}\n" for k, v in options.items()))
    command = [sshd, "-D", "-e", "-f", str(tmp_path / "sshd.conf")]
    server = subprocess.Popen(command, stderr=(tmp_path / "sshd.log").open("wb"))
    objects = tmp_path / "objects"
    objects.mkdir()
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{objects}"
    return Remote({"url": url, "keyfile": str(tmp_path / "user")}, objects, server)


def until_it_works(action) -> None:
    for _ in range(120):
        try:
            action()
            return
        except Exception:
            time.sleep(0.5)
    action()


@pytest.fixture
def project(tmp_path: Path, remote: Remote) -> Path:
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "dvc.yaml").write_text(DVC)
    (folder / "in.txt").write_text("hello\n")
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (folder / ".gitignore").write_text(IGNORED)
    remote.configure(folder)
    begin_repository(folder)
    for stage in ("first", "second"):
        versioning.reproduce(folder, stage)
    begin_repository(folder)  # commits dvc.lock
    return folder


def clone_of(project: Path) -> Path:
    clone = project.with_name("clone")
    subprocess.run(["git", "clone", "-q", project, clone], check=True)
    return clone


def test_a_worker_with_an_empty_disk_restores_what_is_up_to_date(project: Path):
    versioning.transfer(project, "push")
    clone = clone_of(project)
    versioning.transfer(clone, "pull")
    assert (clone / "second.txt").read_text() == "hello\nhello\n"
    assert versioning.status(clone) == {}
    assert versioning.reproduce(clone, "second") == "up to date"


def test_what_one_machine_made_is_adopted_by_another(project: Path):
    versioning.transfer(project, "push")
    clone = clone_of(project)
    entry = versioning.locked(project)["second"]
    (clone / "in.txt").write_text("other\n")
    versioning.reproduce(clone, "first")
    lock = (clone / "dvc.lock").read_bytes()
    with pytest.raises(versioning.StageFailed, match="other inputs"):
        versioning.adopt(clone, "second", entry)
    assert (clone / "dvc.lock").read_bytes() == lock
    (clone / "in.txt").write_text("hello\n")
    versioning.reproduce(clone, "first")
    versioning.adopt(clone, "second", entry)
    assert versioning.status(clone) == {}
    assert (clone / "dvc.lock").read_bytes() == (project / "dvc.lock").read_bytes()


def test_a_store_that_is_gone_is_named_and_nothing_is_lost(project: Path, remote: Remote):
    remote.server.kill()
    remote.server.wait()
    lock = (project / "dvc.lock").read_bytes()
    with pytest.raises(versioning.DvcError) as failed:
        versioning.transfer(project, "push")
    assert "no output" not in str(failed.value)
    assert (project / "dvc.lock").read_bytes() == lock
    assert versioning.status(project) == {}


def test_a_corrupt_object_is_never_taken_for_good(project: Path, remote: Remote):
    if remote.objects is None:
        pytest.skip("harms files; the S3 endpoint keeps its objects in memory")
    versioning.transfer(project, "push")
    (shown,) = (
        p for p in remote.objects.rglob("*") if p.is_file() and p.read_bytes() == b"hello\n"
    )
    shown.chmod(0o600)
    shown.write_bytes(b"jello\n")
    clone = clone_of(project)
    subprocess.run(
        [sys.executable, "-m", "dvc", "remote", "modify", "store", "verify", "true"],
        cwd=clone, check=True,
    )  # fmt: skip
    with pytest.raises(versioning.DvcError):
        versioning.transfer(clone, "pull")
    assert not (clone / "first.txt").exists()
