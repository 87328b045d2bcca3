"""`bertops doctor`: what this machine has and lacks, and how to get what is missing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import typer

from bertops.cli.output import JsonFlag, print_json, table
from bertops.cli.reach import ask, credentials
from bertops.errors import BertopsError

NEEDED_DISK_GIB = 5.0
"""The quickstart with its environment stays below this."""


@dataclass(frozen=True)
class Check:
    """One finding."""

    what: str
    state: Literal["ok", "note", "warning", "bad"]
    """`note`: works without it. `warning`: works, and should not stay so. `bad`: will fail."""
    found: str
    advice: str = ""


def doctor(context: typer.Context, json: JsonFlag = False) -> None:
    """Tell what this machine has and lacks; exit code 1 where something would fail."""
    checks = [check for examine in EXAMINATIONS for check in examine(context.obj)]
    if json:
        print_json([asdict(check) for check in checks])
    else:
        print(table([c.state, c.what, c.found + (f"  ({c.advice})" if c.advice else "")]
                    for c in checks))  # fmt: skip
    if bad := [check.what for check in checks if check.state == "bad"]:
        raise BertopsError(f"{len(bad)} findings would make a run fail: {', '.join(bad)}")


def _python(project: Path) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    yield Check("python", "ok" if ok else "bad", version, "" if ok else "needs 3.11 or newer")


def _packages(project: Path) -> Iterator[Check]:
    """Installed versions against constraints.txt."""
    pins = project / "constraints.txt"
    if not pins.exists():
        yield Check("packages", "note", "no constraints.txt here to compare with")
        return
    lines = [line.strip() for line in pins.read_text(encoding="utf-8").splitlines()]
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    other = [f"{name} {found} (pinned {pin})" for name, pin in pairs
             if (found := _installed(name)) not in (None, pin)]  # fmt: skip
    if other:
        shown = ", ".join(other[:3]) + (", ..." if len(other) > 3 else "")
        yield Check("packages", "note", f"{len(other)} differ: {shown}", "make run installs them")
    else:
        yield Check("packages", "ok", "as pinned in constraints.txt")


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package).split("+")[0]
    except metadata.PackageNotFoundError:
        return None


def _machine(project: Path) -> Iterator[Check]:
    from bertops.runtime import machine

    found = machine()
    yield Check("processor", "ok", f"{found.processor}, {found.threads} threads")
    low = found.memory_gib < 4
    yield Check("memory", "note" if low else "ok", f"{found.memory_gib:g} GiB",
                "lower batch sizes in params.yaml" if low else "")  # fmt: skip
    gpus = ", ".join(found.gpus)
    yield Check("gpu", "ok" if gpus else "note", gpus or "none; training uses the processor")
    bf16 = "done in hardware" if found.bf16 else "not in hardware; fp32 is used"
    yield Check("bf16", "ok" if found.bf16 else "note", bf16)


def _compiler(project: Path) -> Iterator[Check]:
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    yield Check("compiler", "ok" if found else "note",
                found or "none; only torch.compile on a GPU wants one")  # fmt: skip


def _disk(project: Path) -> Iterator[Check]:
    free = shutil.disk_usage(project).free / 2**30
    ok = free >= NEEDED_DISK_GIB
    writable = os.access(project, os.W_OK)
    yield Check("disk", "ok" if ok else "bad", f"{free:.1f} GiB free",
                "" if ok else f"needs {NEEDED_DISK_GIB:g} GiB")  # fmt: skip
    if not writable:
        yield Check("project", "bad", f"{project} is not writable", "correct its owner or mode")


def _git(project: Path) -> Iterator[Check]:
    if shutil.which("git") is None:
        yield Check("git", "bad", "not installed", "DVC needs it")
        return
    found = subprocess.run(
        ["git", "-C", str(project), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode == 0:
        yield Check("git", "ok", f"at commit {found.stdout.strip()}")
    else:
        yield Check("git", "bad", "no repository with a commit here", "git init, then commit")


def _params(project: Path) -> Iterator[Check]:
    from bertops.params import load

    try:
        load(project / "params.yaml")
    except BertopsError as error:
        yield Check("params.yaml", "bad", str(error).splitlines()[0], "bertops params check")
    else:
        yield Check("params.yaml", "ok", "no problems")


def _remotes(project: Path) -> Iterator[Check]:
    """Each DVC remote is written to, and what was written is removed."""
    from bertops.versioning import remotes, try_remote

    try:
        found = remotes(project)
    except BertopsError as error:
        yield Check("dvc remote", "bad", str(error))
        return
    if not found:
        yield Check("dvc remote", "note", "none; outputs stay here",
                    "dvc remote add --default NAME ADDRESS")  # fmt: skip
    for name, address in found.items():
        if trouble := try_remote(project, name):
            yield Check("dvc remote", "bad", f"{name} {address} cannot be written to: {trouble}",
                        "its address, key and rights: docs/howto/run-as-a-team.md")  # fmt: skip
        else:
            yield Check("dvc remote", "ok", f"{name} {address} is writable")


def _servers(project: Path) -> Iterator[Check]:
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
    yield from _server("mlflow", tracking, "/version", MLFLOW_DATA, "runs stay in .bertops/mlflow")
    orchestrator = os.environ.get("PREFECT_API_URL", "")
    yield from _server("prefect", orchestrator, "/admin/version", PREFECT_DATA, "runs without one")


MLFLOW_DATA = "/api/2.0/mlflow/experiments/search?max_results=1"
PREFECT_DATA = "/admin/settings"
"""Places that a server with accounts shows to nobody."""

CLOCK_S = 5.0


def _server(what: str, address: str, about: str, data: str, otherwise: str) -> Iterator[Check]:
    """Whether a server answers, in which version, whom it lets in, and what time it has."""
    if not address.startswith(("http://", "https://")):
        yield Check(what, "ok", address or f"no server set; {otherwise}")
        return
    answer = ask(address.rstrip("/") + about, credentials(what))
    if answer.code is None:
        yield Check(what, "bad", f"{address} does not answer: {answer.text}", "start it: make up")
        return
    if answer.code in (401, 403):
        yield Check(what, "bad", f"{address} refuses our user", "set its user and password")
        return
    theirs, ours = answer.text.strip('" \n'), _installed(what)
    same = theirs == ours
    yield Check(what, "ok" if same else "note", f"{address} answers, version {theirs}",
                "" if same else f"here it is {ours}; install the same")  # fmt: skip
    if ask(address.rstrip("/") + data, None).code not in (401, 403):
        yield Check(f"{what} accounts", "warning", "anybody may come in", OPEN[what])
    if answer.skew_s is not None and abs(answer.skew_s) > CLOCK_S:
        yield Check(f"{what} clock", "warning", f"{answer.skew_s:+.0f} s beside ours",
                    "set both by NTP: timedatectl set-ntp true")  # fmt: skip


OPEN = {
    "mlflow": "start it by `make up`, or as `mlflow server --app-name basic-auth`",
    "prefect": "start it by `make up`, or with PREFECT_SERVER_API_AUTH_STRING=user:password",
}
"""How a server that lets everybody in gets accounts."""


EXAMINATIONS: tuple[Callable[[Path], Iterator[Check]], ...] = (
    _python, _packages, _machine, _compiler, _disk, _git, _params, _remotes, _servers,
)  # fmt: skip
