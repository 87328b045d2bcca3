"""DVC remotes as teams have them: an S3 endpoint (moto) and a real sshd, both on loopback."""

import getpass
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bertops import versioning
from tests.conftest import begin_repository
from tests.services.ask import free_port
from tests.services.s3 import KEYS, S3

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

DVC = """
stages:
  first: {cmd: cp in.txt first.txt, deps: [in.txt], outs: [first.txt]}
  second: {cmd: cat first.txt first.txt > second.txt, deps: [first.txt], outs: [second.txt]}
"""
IGNORED = "/.dvc/cache\n/.dvc/tmp\n/first.txt\n/second.txt\n"


@dataclass
class Remote:
    """A place to push to, and how to harm it."""

    settings: dict[str, str]
    server: "subprocess.Popen[bytes]"
    replace: Callable[[bytes, bytes], None]
    """Gives the object with the first content the second one."""
    refuse: Callable[[], None]
    """From now on the server answers, and says no."""

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
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    store = S3("team", tmp_path / "moto.log")

    def replace(old: bytes, new: bytes) -> None:
        (key,) = (key for key, content in store.objects().items() if content == old)
        store.client.put_object(Bucket="team", Key=key, Body=new)

    def refuse() -> None:
        for key in store.objects():
            store.client.delete_object(Bucket="team", Key=key)
        store.client.delete_bucket(Bucket="team")

    settings = {"url": "s3://team/bertops", "endpointurl": store.address}
    return Remote(settings, store.server, replace, refuse)


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

    def replace(old: bytes, new: bytes) -> None:
        (path,) = (p for p in objects.rglob("*") if p.is_file() and p.read_bytes() == old)
        path.chmod(0o600)
        path.write_bytes(new)

    settings = {
        "url": f"ssh://{getpass.getuser()}@127.0.0.1:{port}{objects}",
        "keyfile": str(tmp_path / "user"),
    }
    return Remote(settings, server, replace, refuse=(tmp_path / "user.pub").unlink)


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


def pod_of(project: Path, repository: Path) -> tuple[Path, str]:
    """The checkout that a pod makes before its worker starts, and what it said."""
    place = project.with_name("pod") / "checkout"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    where = {"BERTOPS_REPOSITORY": str(project), "BERTOPS_PROJECT": str(place), "PATH": path}
    script = ["sh", str(repository / "infra/images/checkout.sh")]
    ran = subprocess.run(script, env={**os.environ, **where}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return place, ran.stderr


def test_a_worker_with_an_empty_disk_restores_what_is_up_to_date(project: Path):
    versioning.transfer(project, "push")
    clone = clone_of(project)
    versioning.transfer(clone, "pull")
    assert (clone / "second.txt").read_text() == "hello\nhello\n"
    assert versioning.status(clone) == {}
    assert versioning.reproduce(clone, "second") == "up to date"


def test_a_pod_restores_what_is_up_to_date(project: Path, repository: Path):
    versioning.transfer(project, "push")
    place, _ = pod_of(project, repository)
    assert (place / "second.txt").read_text() == "hello\nhello\n"
    assert versioning.status(place) == {}


@pytest.mark.fault
def test_a_pod_begins_also_when_the_store_is_gone(project: Path, remote: Remote, repository: Path):
    remote.server.kill()
    remote.server.wait()
    place, said = pod_of(project, repository)
    assert "the rest is computed" in said
    assert not (place / "first.txt").exists()
    versioning.reproduce(place, "first")
    assert (place / "first.txt").read_text() == "hello\n"


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


def assert_push_fails_and_nothing_is_lost(project: Path) -> None:
    lock = (project / "dvc.lock").read_bytes()
    with pytest.raises(versioning.DvcError) as failed:
        versioning.transfer(project, "push")
    assert "no output" not in str(failed.value)
    assert (project / "dvc.lock").read_bytes() == lock
    assert versioning.status(project) == {}


@pytest.mark.fault
def test_a_store_that_is_gone_is_named_and_nothing_is_lost(project: Path, remote: Remote):
    remote.server.kill()
    remote.server.wait()
    assert_push_fails_and_nothing_is_lost(project)


@pytest.mark.fault
def test_a_store_that_refuses_is_named_and_nothing_is_lost(project: Path, remote: Remote):
    remote.refuse()
    assert_push_fails_and_nothing_is_lost(project)


@pytest.mark.fault
def test_a_store_that_hangs_for_a_while_is_waited_for(project: Path, remote: Remote):
    stalled = [psutil.Process(remote.server.pid)]
    stalled += stalled[0].children(recursive=True)
    for process in stalled:
        process.suspend()
    again = threading.Timer(20, lambda: [process.resume() for process in stalled])
    again.start()
    versioning.transfer(project, "push")
    again.join()
    clone = clone_of(project)
    versioning.transfer(clone, "pull")
    assert (clone / "second.txt").read_text() == "hello\nhello\n"


@pytest.mark.fault
def test_a_corrupt_object_is_never_taken_for_good(project: Path, remote: Remote):
    versioning.transfer(project, "push")
    remote.replace(b"hello\n", b"jello\n")
    clone = clone_of(project)
    with pytest.raises(versioning.RemoteDamaged, match=r"first.txt"):
        versioning.transfer(clone, "pull")
    assert not (clone / "first.txt").exists()
    assert "first" in versioning.status(clone)
