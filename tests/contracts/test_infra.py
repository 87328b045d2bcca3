"""Files of infra/ are sound as far as can be seen without a cluster."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bertops.environment import VARIABLES
from bertops.errors import UsageError
from flows.checkout import enter
from flows.deploy import read as read_deployments


@pytest.fixture(scope="module")
def compose(repository: Path) -> dict:
    return yaml.safe_load((repository / "infra/compose/compose.yaml").read_text())


def test_no_password_has_a_default_and_every_one_is_in_the_example(repository: Path, compose: dict):
    text = (repository / "infra/compose/compose.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z0-9_]+):\?", text))
    with_default = set(re.findall(r"\$\{([A-Z0-9_]+):-", text))
    example = (repository / "infra/compose/.env.example").read_text()
    assert set(re.findall(r"^([A-Z0-9_]+)=$", example, re.MULTILINE)) == asked
    assert with_default == {"BERTOPS_VERSION"}


def test_ports_are_bound_to_loopback(compose: dict):
    for service in compose["services"].values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_servers_have_health_checks_and_no_container_gains_rights(compose: dict):
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"]
        assert "worker" in name or "healthcheck" in service


def test_compose_accepts_its_file(repository: Path):
    config = ["docker", "compose", "-f", "infra/compose/compose.yaml", "config", "-q"]
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("needs docker compose")
    names = re.findall(
        r"^([A-Z0-9_]+)=$", (repository / "infra/compose/.env.example").read_text(), re.M
    )
    ran = subprocess.run(config, cwd=repository, capture_output=True, env=dict.fromkeys(names, "x"))
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("image", ["server", "worker", "worker-cuda"])
def test_images_are_pinned_and_run_as_a_user(repository: Path, image: str):
    lines = (repository / f"infra/images/{image}.Dockerfile").read_text().splitlines()
    assert re.fullmatch(
        r"FROM python:3\.11\.\d+-slim-bookworm", next(x for x in lines if x[:4] == "FROM")
    )
    assert "USER bertops" in lines
    assert any("-c constraints.txt" in line for line in lines)


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_kustomize_builds_and_pods_run_as_users(repository: Path, overlay: str):
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl")
    built = subprocess.run(
        ["kubectl", "kustomize", f"infra/k8s/overlays/{overlay}"],
        cwd=repository, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    pods = [d["spec"]["template"]["spec"] for d in yaml.safe_load_all(built.stdout)
            if d["kind"] in ("Deployment", "StatefulSet")]  # fmt: skip
    assert len(pods) == 5
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert "memory" in container["resources"]["limits"]
            assert not container["image"].endswith(":latest")


def test_systemd_accepts_the_units(repository: Path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    units = [str(p) for p in (repository / "infra/systemd").glob("bertops-*")]
    ran = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    # The commands are those of an installed machine; all else must be right.
    complaints = [
        x for x in ran.stderr.splitlines() if "bertops-" in x and "is not executable" not in x
    ]
    assert complaints == []


def test_shell_scripts_parse(repository: Path):
    for script in (repository / "infra").rglob("*.sh"):
        assert subprocess.run(["sh", "-n", script]).returncode == 0


def test_every_flow_has_its_deployment_and_every_deployment_its_flow(repository: Path):
    from flows.__main__ import FLOWS

    deployments = read_deployments(repository)
    elsewhere = {"pipeline-gpu", "stage-gpu"}  # what runs on a worker of the pool gpu alone
    assert set(deployments) - elsewhere == set(FLOWS)
    for name, one in deployments.items():
        path, function = one["entrypoint"].split(":")
        assert f"def {function}(" in (repository / path).read_text(), name
        assert "bertops" in one["tags"]


def test_a_run_works_in_the_checkout_of_its_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("BERTOPS_PROJECT", raising=False)
    with pytest.raises(UsageError, match="start it anew with BERTOPS_PROJECT"):
        enter()
    monkeypatch.setenv("BERTOPS_PROJECT", str(tmp_path))
    with pytest.raises(UsageError, match="clone it there"):
        enter()
    (tmp_path / "dvc.yaml").touch()
    assert enter() == {"directory": str(tmp_path)}


def test_whoever_writes_dvc_lock_runs_alone_in_its_checkout(repository: Path):
    for name, one in read_deployments(repository).items():
        if name in {"pipeline", "pipeline-gpu", "retrain", "backfill"}:
            assert one["concurrency_limit"]["limit"] == 1


def test_schedules_name_their_time_zone(repository: Path):
    for one in read_deployments(repository).values():
        for schedule in one.get("schedules", ()):
            assert schedule["timezone"]


def test_variables_of_the_reference_are_told_once():
    names = [variable.name for variable in VARIABLES]
    assert len(names) == len(set(names))


def test_every_runbook_has_symptom_check_and_cure(repository: Path):
    for page in (repository / "infra/runbooks").glob("*.md"):
        text = page.read_text()
        assert "**Symptom.**" in text
        assert "```sh" in text
