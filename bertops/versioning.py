"""The one door to DVC: reproduce a stage, ask what is stale, hash what was locked.

dvc is run as a subprocess at the head of a process group of its own. Stopping goes to the whole
group: SIGTERM to dvc alone would leave the training process running, its outputs already deleted.
A stage also stops when this process is killed (`bertops.leash`).
"""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from bertops import git
from bertops.environment import PROJECT
from bertops.errors import BertopsError, UsageError
from bertops.leash import held, mark_told
from bertops.problems import read_yaml
from bertops.rehash import drop_damaged
from bertops.storage import hash_file, read_json, write_text

GRACE_S = 60.0
"""How long a stage may take to save what it has after it was told to stop."""

STDERR = 2

ENDING_FILE = "BERTOPS_ENDING_FILE"
"""Environment variable: where `bertops stage` leaves how it ended, for the process that ran dvc:
dvc passes on neither the exit code nor the message of a stage, nor whether it ran at all."""

NO_REMOTE = "no DVC remote is set; add one: dvc remote add --default NAME ADDRESS"

Outcome = Literal["ran", "restored", "up to date"]
"""What became of a stage; `restored` came out of the cache without running."""


class DvcError(BertopsError):
    """dvc itself failed, outside of any stage."""

    def __init__(self, arguments: Sequence[str], output: str) -> None:
        self.arguments, self.output = tuple(arguments), output
        super().__init__(f"dvc {' '.join(arguments)} failed: {_first_error(output)}")


class RemoteDamaged(BertopsError):
    """A remote gave something else than what was once pushed to it."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)
        super().__init__(
            f"what was pulled is not what dvc.lock says ({', '.join(paths[:3])}): damaged on the "
            "remote or on the way, and removed here. Pull again; if that does not help, delete it "
            "on the remote and `dvc push` from a machine that has it, or `bertops run` makes it "
            "anew."
        )


class StageFailed(BertopsError):
    """A stage ended with an error of its own, which is repeated here with its exit code."""

    def __init__(self, stage: str, message: str, exit_code: int, *, killed: bool = False) -> None:
        self.stage, self.message, self.exit_code = stage, message, exit_code
        self.killed = killed
        """It left no error of its own: its process was killed, and may do better next time."""
        super().__init__(f"stage {stage} failed: {message}")


def reproduce(root: Path, address: str, label: str | None = None) -> Outcome:
    """Run one stage unless DVC finds it up to date; its output streams to our stderr.

    Upstream stages are not looked at: call this in the order of the graph. Ctrl-C, SIGTERM or any
    exception raised in the waiting thread stops the whole process group before it goes on. What
    came out of the cache is hashed again; where it is damaged, the stage runs.

    Args:
        label: what people call the stage; errors name it so.

    Raises:
        StageFailed: with the stage's own message and exit code.
        DvcError: dvc could not even start the stage.
    """
    before = _lock_entry(root, address)
    arguments = ["repro", "--quiet", "--single-item", address]
    with tempfile.TemporaryDirectory() as scratch:
        ending = Path(scratch) / "ending.json"
        with (
            held(Path(scratch)) as leash,
            _running(root, arguments, {ENDING_FILE: str(ending), **leash}) as process,
        ):
            code = process.wait()
        left = json.loads(ending.read_text(encoding="utf-8")) if ending.exists() else None
        if code != 0 and left:
            raise StageFailed(label or address, left["message"], left["exit_code"])
    if code != 0:
        # Quiet as it was asked to be, dvc said nothing: what hinders it, it tells of a dry run too.
        _output(root, ["repro", "--dry", "--single-item", address])
        message = "its process ended without telling why; was it killed, or out of memory?"
        raise StageFailed(label or address, message, 1, killed=True)
    if left:
        return "ran"
    after = _lock_entry(root, address)
    if after == before:
        return "up to date"
    if drop_damaged(root, _cache(root), after):
        return reproduce(root, address, label)
    return "restored"


def leave_ending(message: str, exit_code: int) -> bool:
    """Tell the process that ran dvc how this stage ended; False where nobody will read it."""
    place = os.environ.get(ENDING_FILE)
    if place is None:
        return False
    try:
        text = json.dumps({"message": message, "exit_code": exit_code})
        Path(place).write_text(text, encoding="utf-8")
    except OSError:  # a full disk must not hide the error that it caused
        return False
    return True


def status(root: Path) -> dict[str, list[str]]:
    """Why each stale stage is stale, by DVC address; a stage that is up to date is not named.

    A stage whose inputs are themselves about to be made anew counts as up to date until they are.
    """
    found = json.loads(_output(root, ["status", "--json"]) or "{}")
    return {_address(key): list(_reasons(entries)) for key, entries in found.items()}


def _address(key: str) -> str:
    return key.removeprefix("dvc.yaml:")


def _reasons(entries: Sequence[Any]) -> Iterator[str]:
    """DVC's findings on one stage as short phrases."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
            continue
        for kind, paths in entry.items():
            for path, what in paths.items():
                if isinstance(what, dict):  # parameters: file → key → what happened
                    yield from (f"{key} {how}" for key, how in what.items())
                else:
                    yield f"{path} {what}" + (" (output)" if kind == "changed outs" else "")


def locked(root: Path) -> dict[str, Any]:
    """Entries of dvc.lock by address; empty before the first run."""
    path = root / "dvc.lock"
    return dict(read_yaml(path).get("stages", {})) if path.exists() else {}


def lock_hash(root: Path) -> str | None:
    """sha256 of dvc.lock, which names every input, parameter and output; None before it exists."""
    path = root / "dvc.lock"
    return hash_file(path) if path.exists() else None


def _lock_entry(root: Path, address: str) -> Any:
    return locked(root).get(address)


def _cache(root: Path) -> Path:
    return Path(_output(root, ["cache", "dir"]).strip())


def transfer(root: Path, direction: str, targets: Sequence[str] = ()) -> None:
    """`pull` what the stages of this checkout need, or `push` what they made, run-cache included.

    Raises:
        UsageError: the project has no default remote.
        DvcError: the remote refused or lacks something.
        RemoteDamaged: what was pulled does not hash to what dvc.lock says; it was removed.
    """
    if not remotes(root):
        raise UsageError(NO_REMOTE)
    _output(root, [direction, "--run-cache", *targets])
    if direction == "pull":
        entries, cache = locked(root), _cache(root)
        wanted = [entry for address, entry in entries.items() if address in (targets or entries)]
        if bad := [path for entry in wanted for path in drop_damaged(root, cache, entry)]:
            raise RemoteDamaged(bad)


def commit_lock(root: Path, prefix: str = "retrain") -> str | None:
    """Commit dvc.lock, as it is now, to a branch of its own; nothing that is checked out moves.

    Returns:
        The branch, `prefix/` and the beginning of the lock's hash; None where the commit that is
        checked out has this very dvc.lock.

    Raises:
        GitError: git refused.
    """
    digest = lock_hash(root)
    if digest is None:
        return None
    blob = git.run(root, "hash-object", "-w", "dvc.lock")
    if blob == git.run(root, "rev-parse", "--quiet", "--verify", "HEAD:dvc.lock", ok=(0, 1)):
        return None
    branch = f"{prefix}/{digest[:12]}"
    with tempfile.TemporaryDirectory() as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git.run(root, "read-tree", "HEAD", env=index)
        git.run(root, "update-index", "--add", "--cacheinfo", f"100644,{blob},dvc.lock", env=index)
        tree = git.run(root, "write-tree", env=index)
    message = f"{prefix.capitalize()}: dvc.lock {digest[:12]}"
    arguments = ["commit-tree", tree, "-p", "HEAD", "-m", message]
    commit = git.run(root, *arguments, env=git.identity(root))
    git.run(root, "update-ref", f"refs/heads/{branch}", commit)
    return branch


def check_out(root: Path, revision: str) -> Path:
    """A work tree of a git revision with the DVC cache and the local settings of this project.

    Raises:
        GitError: there is no such revision.
    """
    checkout = git.check_out(root, revision)
    local = root / ".dvc/config.local"  # remotes and their secrets, which git does not know
    if local.exists():
        shutil.copy2(local, checkout / ".dvc/config.local")
    _output(checkout, ["cache", "dir", "--local", str(_cache(root))])
    return checkout


def adopt(root: Path, address: str, entry: Mapping[str, Any]) -> None:
    """Take over what another machine made of a stage: its entry of dvc.lock, and its outputs.

    Raises:
        DvcError: the outputs are not on the remote.
        StageFailed: they were made from other inputs than those that are here.
    """
    path = root / "dvc.lock"
    before = path.read_text(encoding="utf-8")
    yaml = YAML()
    kept = yaml.load(before)
    kept["stages"][address] = dict(entry)
    text = io.StringIO()
    yaml.dump(kept, text)
    write_text(path, text.getvalue())
    try:
        transfer(root, "pull", [address])
        if why := status(root).get(address):
            raise StageFailed(address, f"it was made from other inputs: {'; '.join(why)}", 1)
    except BaseException:
        write_text(path, before)
        raise


def read_output(root: Path, revision: str, path: Path) -> Any:
    """What a JSON output of a stage held at a git revision.

    Args:
        root: the project.
        revision: of git.
        path: of the output, relative to the project.

    Raises:
        DvcError: no such revision or output, or its content is neither here nor on a remote.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / path.name
        _output(root, ["get", ".", str(path), "--rev", revision, "--out", str(target)])
        return read_json(target)


def remotes(root: Path) -> dict[str, str]:
    """Names and addresses of the DVC remotes of this checkout."""
    # Not `dvc remote list`, which breaks addresses in two where they are longer than the terminal.
    listed = _output(root, ["config", "--list"])
    return dict(re.findall(r"^remote\.(.+?)\.url=(.*)$", listed, re.MULTILINE))


PROBE = """
import sys, uuid
from dvc.repo import Repo
with Repo() as repo:
    remote = repo.cloud.get_remote_odb(sys.argv[1])
    place = remote.fs.join(remote.path, "bertops-probe-" + uuid.uuid4().hex)
    remote.fs.makedirs(remote.path, exist_ok=True)
    remote.fs.pipe_file(place, b"bertops doctor may remove this")
    remote.fs.remove(place)
"""
"""What dvc has no command for: write to a remote, and remove what was written."""

PROBE_S = 60.0


def try_remote(root: Path, name: str) -> str | None:
    """Write a small object to a DVC remote and remove it; why that failed, None if it did not."""
    try:
        ran = subprocess.run(
            [sys.executable, "-c", PROBE, name],
            cwd=root, env=_environment(root), capture_output=True, text=True, timeout=PROBE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer within {PROBE_S:g} s"
    if ran.returncode == 0:
        return None
    return (ran.stderr.strip().splitlines() or ["no output"])[-1]


def _output(root: Path, arguments: Sequence[str]) -> str:
    """stdout of a dvc command that must succeed."""
    with _running(root, arguments, {}, capture=True) as process:
        out, err = process.communicate()
    if process.returncode != 0:
        raise DvcError(arguments, err)
    return out


@contextlib.contextmanager
def _running(
    root: Path, arguments: Sequence[str], extra: Mapping[str, str], *, capture: bool = False
) -> Iterator["subprocess.Popen[str]"]:
    """A dvc process; if the block ends by an exception, its whole group is stopped first."""
    pipe = subprocess.PIPE if capture else None
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments],
        cwd=root,
        env={**_environment(root), **extra},
        # What dvc tells of its work is progress, and progress belongs on stderr.
        stdout=pipe or STDERR,
        stderr=pipe,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    except BaseException:
        _stop_group(process, extra)
        raise


def _environment(root: Path) -> dict[str, str]:
    """Ours, with the `bertops` command of this interpreter first on the path, and quiet.

    Stages work in `root`, whatever project this process is about. A checkout that brings the code
    of bertops runs its own: its commit names it.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    ours = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", PROJECT: str(root.resolve())}
    if (root / "bertops/__init__.py").exists():
        ours["PYTHONPATH"] = os.pathsep.join(
            [str(root.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
    return ours


def _stop_group(process: "subprocess.Popen[str]", leash: Mapping[str, str]) -> None:
    """Ask the group to stop, as Ctrl-C would; after the grace period, kill it.

    The group is watched, not dvc alone: dvc may be gone while the stage still saves.
    """
    deadline = time.monotonic() + GRACE_S
    _signal_group(process.pid, signal.SIGINT)
    mark_told(leash)
    while _signal_group(process.pid, 0):
        process.poll()  # reaps dvc, which would otherwise keep its group alive as a zombie
        if time.monotonic() > deadline:
            _signal_group(process.pid, signal.SIGKILL)
            break
        time.sleep(0.1)
    process.wait()


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False when none of it is left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _first_error(output: str) -> str:
    """What dvc says first, its hints on further reading left out."""
    if busy := re.search(r"is busy.*?\(PID (\d+)\): ([^\n]+)", output, re.DOTALL):
        return (
            f"another run is at work in this project (process {busy[1]}: {busy[2]}). "
            "Wait until it ends, or stop it, and run the same command again."
        )
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return " ".join(errors or lines[:3]) or "no output"
