"""versioning against the real dvc, on a graph of shell commands."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from bertops import graph, versioning
from bertops.errors import UsageError
from bertops.git import GitError, commit_of
from bertops.rehash import drop_damaged
from tests.conftest import begin_repository

PARAMS = "size: 1\ntasks: [{name: a, lr: 1}, {name: b, lr: 2}]\n"
DVC = """
stages:
  first: {cmd: cp in.txt first.txt, deps: [in.txt], params: [size], outs: [first.txt]}
  tell:
    matrix: {task: "${tasks}"}
    cmd: echo ${item.task.lr} > told-${item.task.name}.txt
    params: [tasks]
    outs: ["told-${item.task.name}.txt"]
  train:
    matrix: {task: "${tasks}"}
    cmd: cat first.txt told-${item.task.name}.txt > model-${item.task.name}.txt
    deps: [first.txt, "told-${item.task.name}.txt"]
    outs: ["model-${item.task.name}.txt"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "in.txt").write_text("hello\n")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    begin_repository(tmp_path)
    return tmp_path


def reproduce_all(project: Path) -> list[str]:
    """Addresses of the stages that ran."""
    stages = graph.read(project).stages
    return [s.address for s in stages if versioning.reproduce(project, s.address) != "up to date"]


def test_our_names_of_the_stages_are_those_of_dvc(project: Path):
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=project, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [s.address for s in graph.read(project).stages] == listed.stdout.split()


def test_stage_by_stage_gives_the_lock_file_of_one_repro(project: Path, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for name in ("params.yaml", "dvc.yaml", "in.txt"):
        (other / name).write_bytes((project / name).read_bytes())
    (other / ".dvc").mkdir()
    begin_repository(other)
    assert len(reproduce_all(project)) == 5
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=other, check=True)
    assert (project / "dvc.lock").read_bytes() == (other / "dvc.lock").read_bytes()


def test_after_a_run_nothing_is_stale_and_nothing_runs_again(project: Path):
    reproduce_all(project)
    assert versioning.status(project) == {}
    assert reproduce_all(project) == []


def test_editing_one_entry_of_a_list_runs_only_what_hangs_on_that_entry(project: Path):
    reproduce_all(project)
    (project / "params.yaml").write_text(PARAMS.replace("lr: 2", "lr: 3"))
    assert versioning.status(project).keys() == {"tell@task0", "tell@task1"}
    assert reproduce_all(project) == ["tell@task0", "tell@task1", "train@task1"]


def test_status_says_why(project: Path):
    reproduce_all(project)
    (project / "in.txt").write_text("changed\n")
    (project / "model-a.txt").unlink()
    assert versioning.status(project) == {
        "first": ["in.txt modified"],
        "train@task0": ["model-a.txt deleted (output)"],
    }


def test_a_stage_that_fails_gives_its_own_message_and_code(project: Path):
    told = (
        f'{sys.executable} -c "from bertops.versioning import leave_ending; '
        "leave_ending('the gate said no', 3); raise SystemExit(3)\""
    )
    (project / "dvc.yaml").write_text(f"stages:\n  gate:\n    cmd: {told}\n")
    with pytest.raises(
        versioning.StageFailed, match="stage gate failed: the gate said no"
    ) as found:
        versioning.reproduce(project, "gate")
    assert found.value.exit_code == 3
    assert not found.value.killed


def test_a_stage_that_is_killed_is_known_as_killed(project: Path):
    (project / "dvc.yaml").write_text("stages:\n  die:\n    cmd: kill -9 $$\n")
    with pytest.raises(versioning.StageFailed) as found:
        versioning.reproduce(project, "die")
    assert found.value.killed


def test_a_wrong_dvc_yaml_gives_the_words_of_dvc(project: Path):
    (project / "dvc.yaml").write_text("stages:\n  a:\n    cmdd: x\n")
    with pytest.raises(versioning.DvcError, match=r"dvc status --json failed: .*dvc\.yaml"):
        versioning.status(project)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_us_stops_the_process_that_works(project: Path, number: int):
    work = (
        "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    )
    (project / "dvc.yaml").write_text(f'stages:\n  work:\n    cmd: {sys.executable} -c "{work}"\n')
    script = (
        "import signal, pathlib; from bertops import versioning\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "versioning.reproduce(pathlib.Path(), 'work')\n"
    )
    ours = subprocess.Popen([sys.executable, "-c", script], cwd=project, stderr=subprocess.DEVNULL)
    worker = wait_for_pid(project / "pid")
    ours.send_signal(number)
    assert ours.wait(timeout=30) != 0
    assert not alive(worker)


@pytest.mark.fault
def test_the_lock_of_a_killed_dvc_does_not_stop_the_next_run(project: Path):
    (project / "dvc.yaml").write_text("stages:\n  work:\n    cmd: echo $$ > pid; sleep 60\n")
    ours = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "-q"],
        cwd=project, start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for_pid(project / "pid")
    os.killpg(ours.pid, signal.SIGKILL)
    ours.wait()
    (project / "dvc.yaml").write_text(DVC)
    assert len(reproduce_all(project)) == 5


def wait_for_pid(path: Path) -> int:
    for _ in range(300):
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.1)
    raise AssertionError(f"{path} never came")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/status").read_text().split("State:")[1].split()[0] != "Z"


def git(project: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True)
    return ran.stdout.strip()


def test_a_lock_goes_to_a_branch_of_its_own_and_nothing_else_moves(project: Path):
    reproduce_all(project)
    head, changes = git(project, "rev-parse", "HEAD"), git(project, "status", "--porcelain")
    branch = versioning.commit_lock(project)
    assert branch is not None
    assert git(project, "show", f"{branch}:dvc.lock") == (project / "dvc.lock").read_text().strip()
    assert git(project, "rev-parse", f"{branch}^") == head
    assert git(project, "log", "-1", "--format=%s", branch).startswith("Retrain: dvc.lock")
    filled = versioning.commit_lock(project, "backfill")
    assert git(project, "log", "-1", "--format=%s", str(filled)).startswith("Backfill: dvc.lock")
    assert git(project, "rev-parse", "HEAD") == head
    assert git(project, "status", "--porcelain") == changes


def test_a_worker_that_git_knows_no_name_for_commits_as_bertops(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    reproduce_all(project)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    git(project, "config", "user.useConfigOnly", "true")  # as where the host has no domain
    for name in ("EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    branch = str(versioning.commit_lock(project))
    assert git(project, "log", "-1", "--format=%an %cn", branch) == "bertops bertops"
    for name in ("user.name", "user.email"):
        git(project, "config", name, "somebody")
    branch = str(versioning.commit_lock(project, "backfill"))
    assert git(project, "log", "-1", "--format=%an %cn", branch) == "somebody somebody"


def test_a_lock_that_is_committed_already_needs_no_branch(project: Path):
    reproduce_all(project)
    for name in ("user.name", "user.email"):
        git(project, "config", name, "test")
    git(project, "add", "dvc.lock")
    git(project, "commit", "-qm", "Lock")
    assert versioning.commit_lock(project) is None


def commit_at(project: Path, date: str) -> str:
    """Make a commit that is as old as that."""
    me = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(
        ["git", *me, "commit", "-q", "--allow-empty", "-m", date, "--date", date],
        cwd=project, env={**os.environ, "GIT_COMMITTER_DATE": date}, check=True,
    )  # fmt: skip
    return git(project, "rev-parse", "HEAD")


def test_a_date_means_the_last_commit_until_then(tmp_path: Path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    days = ["2026-11-03T10:00:00Z", "2026-11-05T23:30:00Z", "2026-11-06T08:00:00Z"]
    third, fifth, sixth = (commit_at(tmp_path, day) for day in days)
    assert commit_of(tmp_path, "2026-11-04") == third
    assert commit_of(tmp_path, "2026-11-05") == fifth, "a day lasts until its end"
    assert commit_of(tmp_path, "2026-11-05T12:00+00:00") == third
    assert commit_of(tmp_path, "HEAD") == sixth
    with pytest.raises(UsageError, match="no commit is of 2026-11-02 or before it; the first"):
        commit_of(tmp_path, "2026-11-02")
    with pytest.raises(UsageError, match="'2026-13-02' is no date"):
        commit_of(tmp_path, "2026-13-02")
    with pytest.raises(UsageError, match="'nonsense' is no revision"):
        commit_of(tmp_path, "nonsense")
    git(tmp_path, "tag", "2026-11-04", sixth)
    assert commit_of(tmp_path, "2026-11-04") == sixth, "what git knows goes before the calendar"


def test_a_worker_with_an_empty_disk_restores_what_is_up_to_date(project: Path, tmp_path_factory):
    """A remote has outputs and run-cache; a fresh clone takes them from there and runs nothing."""
    store = tmp_path_factory.mktemp("store")
    for place in (project, clone := tmp_path_factory.mktemp("clone") / "project"):
        if place is clone:
            git(project, "add", ".")
            git(project, "-c", "user.name=t", "-c", "user.email=t@e", "commit", "-qm", "Done")
            subprocess.run(["git", "clone", "-q", project, clone], check=True)
        remote = ["remote", "add", "--local", "--default", "store", str(store)]
        subprocess.run([sys.executable, "-m", "dvc", *remote], cwd=place, check=True)
        if place is project:
            (project / ".gitignore").write_text(
                "/.dvc/cache\n/.dvc/tmp\n/.dvc/config.local\n*.txt\n!in.txt\n"
            )
            reproduce_all(project)
            versioning.transfer(project, "push")
    assert not (clone / "model-a.txt").exists()
    versioning.transfer(clone, "pull")
    assert (clone / "model-a.txt").read_text() == (project / "model-a.txt").read_text()
    assert versioning.status(clone) == {}
    assert reproduce_all(clone) == []


def spoil(path: Path) -> None:
    """Flip a byte of a cached object, as a bad disk would: DVC still trusts it."""
    path.chmod(0o644)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    path.chmod(0o444)


@pytest.mark.fault
def test_what_was_damaged_in_the_cache_is_made_again(project: Path):
    reproduce_all(project)
    good = (project / "model-a.txt").read_bytes()
    md5 = versioning.locked(project)["train@task0"]["outs"][0]["md5"]
    spoil(project / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}")
    (project / "model-a.txt").unlink()
    (project / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    versioning.reproduce(project, "train@task0")
    assert (project / "model-a.txt").read_bytes() == good


@pytest.mark.fault
def test_a_damaged_file_of_a_directory_is_found_and_good_outputs_stay(project: Path):
    folder = {"cmd": "mkdir out; echo 1 > out/a; echo 2 > out/b", "outs": ["out"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"make": folder}}))
    versioning.reproduce(project, "make")
    entry, cache = versioning.locked(project)["make"], project / ".dvc/cache"
    assert drop_damaged(project, cache, entry) == []
    md5 = hashlib.md5(b"2\n").hexdigest()
    place = cache / f"files/md5/{md5[:2]}/{md5[2:]}"
    spoil(place)
    assert drop_damaged(project, cache, entry) == ["out/b"]
    assert not place.exists()
    assert (project / "out/b").read_text() == "2\n"


def test_a_checkout_follows_its_branch_and_has_the_cache_and_the_settings(project: Path):
    """Also after a run that was killed while it was made."""
    reproduce_all(project)
    remote = ["remote", "add", "--local", "--default", "store", str(project.with_name("store"))]
    subprocess.run([sys.executable, "-m", "dvc", *remote], cwd=project, check=True)
    branch = git(project, "branch", "--show-current")
    first = versioning.check_out(project, branch)
    assert versioning.check_out(project, branch) == first
    assert list(versioning.remotes(first)) == ["store"]
    versioning.reproduce(first, "first")
    (project / "params.yaml").write_text(PARAMS.replace("size: 1", "size: 2"))
    git(project, "-c", "user.name=t", "-c", "user.email=t@e", "commit", "-qam", "Two")
    commit = git(project, "rev-parse", "HEAD")
    (first.parent / f"{commit[:16]}.partial").mkdir()
    second = versioning.check_out(project, branch)
    assert second != first
    assert "size: 2" in (second / "params.yaml").read_text()
    assert git(second, "status", "--porcelain", "--untracked-files=no") == ""
    with pytest.raises(GitError, match="rev-parse"):
        versioning.check_out(project, "no-such-branch")


def test_the_code_of_a_checkout_is_the_code_that_runs_in_it(project: Path):
    (project / "bertops").mkdir()
    (project / "bertops/__init__.py").write_text("HERE = True\n")
    (project / "dvc.yaml").write_text(
        "stages:\n  ask: {cmd: python -c 'import bertops; bertops.HERE'}\n"
    )
    assert versioning.reproduce(project, "ask") in ("ran", "restored")


def test_a_stage_works_in_its_own_project_whatever_project_its_caller_is_about(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    """A worker's BERTOPS_PROJECT is its own checkout; the stage may run in another one below it."""
    monkeypatch.setenv("BERTOPS_PROJECT", "/elsewhere")
    (project / "dvc.yaml").write_text("stages:\n  ask: {cmd: echo $BERTOPS_PROJECT > place.txt}\n")
    versioning.reproduce(project, "ask")
    assert Path((project / "place.txt").read_text().strip()) == project.resolve()


def test_what_cannot_run_elsewhere_is_told_before_anything_runs(project: Path):
    from flows.handoff import refuse_unfit

    plan = graph.read(project)
    refuse_unfit(project, plan, {})
    with pytest.raises(UsageError, match="no stage 'trian'; did you mean 'train'"):
        refuse_unfit(project, plan, {"trian": "stage/stage-gpu"})
    with pytest.raises(UsageError, match="no DVC remote"):
        refuse_unfit(project, plan, {"train": "stage/stage-gpu"})
    (project / "in.txt").write_text("changed")
    with pytest.raises(UsageError, match=r"in.txt differ.* commit and push"):
        refuse_unfit(project, plan, {"train": "stage/stage-gpu"})
