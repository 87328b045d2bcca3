"""Files of infra/ are sound as far as can be seen without a cluster."""

import configparser
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prefect.utilities.templating import apply_values

from bertops.environment import SERVER_VARIABLES, VARIABLES
from bertops.errors import UsageError
from flows.checkout import enter
from flows.deploy import read as read_deployments
from tests.conftest import begin_repository


@pytest.fixture(scope="module")
def compose(repository: Path) -> dict:
    return yaml.safe_load((repository / "infra/compose/compose.yaml").read_text())


def test_no_password_has_a_default_and_every_one_is_in_the_example(repository: Path, compose: dict):
    text = (repository / "infra/compose/compose.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z0-9_]+):\?", text))
    with_default = set(re.findall(r"\$\{([A-Z0-9_]+):-", text))
    example = (repository / "infra/compose/.env.example").read_text()
    assert set(re.findall(r"^([A-Z0-9_]+)=$", example, re.MULTILINE)) == asked
    public = {"PREFECT_UI_API_URL", "MLFLOW_SERVER_ALLOWED_HOSTS"}
    public.add("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS")
    assert with_default == {"BERTOPS_VERSION", *public}


def test_ports_are_bound_to_loopback(compose: dict):
    for service in compose["services"].values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_servers_have_health_checks_and_no_container_gains_rights(compose: dict):
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "worker" in name or is_once(service) or "healthcheck" in service


def is_once(service: dict) -> bool:
    """Whether a service of compose does one thing and ends."""
    return service["restart"] == "no"


def test_the_bucket_is_there_before_anybody_writes_to_it(compose: dict):
    services = compose["services"]
    chown, make = services["store-owner"], services["bucket"]
    assert is_once(chown)
    assert is_once(make)
    assert chown["entrypoint"] == ["chown", services["store"]["user"], "/data"]
    assert chown["volumes"] == services["store"]["volumes"]
    assert services["store"]["depends_on"]["store-owner"]["condition"] == ENDED
    bucket = services["mlflow"]["environment"]["MLFLOW_ARTIFACTS_DESTINATION"].split("/")[2]
    assert make["entrypoint"] == ["mc", "mb", "--ignore-existing", f"store/{bucket}"]
    assert services["mlflow"]["depends_on"]["bucket"]["condition"] == ENDED


ENDED = "service_completed_successfully"


def named(env: list[dict]) -> dict[str, str]:
    """Environment of a container of Kubernetes by name; what comes from a secret is empty."""
    return {one["name"]: one.get("value", "") for one in env}


def pool_job(repository: Path) -> dict:
    """The pod that the pool `gpu` makes of a run."""
    template = json.loads((repository / "infra/k8s/base/gpu-pool.json").read_text())
    return template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]


def unit(path: Path) -> tuple[dict[str, str], str]:
    """Environment and command of a systemd unit."""
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    text = path.read_text()
    parsed.read_string(text)
    words = (w for line in re.findall(r"^Environment=(.*)$", text, re.M) for w in line.split())
    return dict(word.split("=", 1) for word in words), parsed["Service"].get("ExecStart", "")


def workers(repository: Path, compose: dict) -> dict[str, dict[str, str]]:
    """Environment of everything that runs flows, however it is started."""
    found = {f"compose {name}": service["environment"]
             for name, service in compose["services"].items() if "worker" in name}  # fmt: skip
    base = repository / "infra/k8s/base"
    for path in base.glob("worker-*.yaml"):
        (controller,) = (d for d in yaml.safe_load_all(path.read_text())
                         if d["kind"] in ("Deployment", "StatefulSet"))  # fmt: skip
        (container,) = controller["spec"]["template"]["spec"]["containers"]
        found[f"k8s {path.stem}"] = named(container["env"])
    found["k8s job"] = named(pool_job(repository)["containers"][0]["env"])
    for path in (repository / "infra/systemd").glob("bertops-worker*.service"):
        found[f"systemd {path.stem}"] = unit(path)[0]
    return found


def test_every_worker_knows_its_checkout(repository: Path, compose: dict):
    found = workers(repository, compose)
    assert len(found) == 6
    for name, environment in found.items():
        assert environment.get("BERTOPS_PROJECT"), name
    for name, service in compose["services"].items():
        if "worker" in name:
            place = service["environment"]["BERTOPS_PROJECT"]
            assert [v.split(":")[1] for v in service["volumes"]] == [place], name


def test_a_pod_clones_where_its_worker_looks(repository: Path):
    stateful = yaml.safe_load((repository / "infra/k8s/base/worker-cpu.yaml").read_text())
    for pod in (stateful["spec"]["template"]["spec"], pool_job(repository)):
        (clone,), (worker,) = pod["initContainers"], pod["containers"]
        places = {named(c["env"])["BERTOPS_PROJECT"] for c in (clone, worker)}
        assert len(places) == 1
        assert places.pop().startswith(worker["volumeMounts"][0]["mountPath"] + "/")
        assert clone["command"] == ["sh", "/app/infra/images/checkout.sh"]
        assert clone["volumeMounts"] == worker["volumeMounts"]


def test_a_checkout_is_cloned_once_and_a_half_one_anew(repository: Path, tmp_path: Path):
    origin, place = tmp_path / "origin", tmp_path / "project/checkout"
    origin.mkdir()
    (origin / "dvc.yaml").write_text("stages: {}\n")
    begin_repository(origin)
    place.mkdir(parents=True)
    (place / "half").touch()
    env = {**os.environ, "BERTOPS_REPOSITORY": str(origin), "BERTOPS_PROJECT": str(place)}
    script = ["sh", repository / "infra/images/checkout.sh"]
    subprocess.run(script, env=env, check=True)
    assert {p.name for p in place.iterdir()} == {".git", "dvc.yaml"}
    (place / "kept").touch()
    subprocess.run(script, env=env, check=True)
    assert (place / "kept").exists()


def test_the_kubernetes_pool_gives_each_run_a_gpu(repository: Path):
    (container,) = pool_job(repository)["containers"]
    template = json.loads((repository / "infra/k8s/base/gpu-pool.json").read_text())
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "{{ gpus }}"
    known = template["variables"]["properties"]
    assert known["gpus"]["default"] == 1
    asked = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert asked == set(known)
    worker = (repository / "infra/k8s/base/worker-gpu.yaml").read_text()
    assert "--pool, gpu, --type, kubernetes]" in worker
    assert "work-pool, create, gpu, --type, kubernetes" in worker
    # Of the pool: a limit of the worker counts the Jobs that it makes, not those that run.
    assert 'work-pool, set-concurrency-limit, gpu, "1"' in worker


def test_prefect_accepts_the_pool_and_secrets_are_only_referred_to(repository: Path):
    worker = pytest.importorskip("prefect_kubernetes.worker", reason="needs the extra kubernetes")
    template = json.loads((repository / "infra/k8s/base/gpu-pool.json").read_text())
    values = {name: one.get("default") for name, one in template["variables"]["properties"].items()}
    filled = apply_values(template["job_configuration"], values | {"gpus": 2})
    made = worker.KubernetesWorkerJobConfiguration.model_validate(filled).job_manifest
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    for one in container["env"]:
        secret = re.search("PASSWORD|KEY|SECRET|AUTH", one["name"])
        assert ("valueFrom" in one) == bool(secret), one["name"]


def servers(repository: Path, compose: dict, name: str) -> dict[str, dict[str, str]]:
    """Environment of one server, prefect or mlflow, however it is started."""
    path = repository / f"infra/k8s/base/{name}.yaml"
    (pod,) = (d["spec"]["template"]["spec"] for d in yaml.safe_load_all(path.read_text())
              if d["kind"] == "Deployment")  # fmt: skip
    settings = yaml.safe_load((repository / "infra/k8s/base/settings.yaml").read_text())["data"]
    return {
        "compose": compose["services"][name]["environment"],
        "k8s": {**settings, **named(pod["containers"][0]["env"])},
        "systemd": unit(repository / f"infra/systemd/bertops-{name}.service")[0],
    }


def test_servers_guard_themselves_and_tell_nobody(repository: Path, compose: dict):
    for where, prefect in servers(repository, compose, "prefect").items():
        assert prefect["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] == "true", where
        assert prefect["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false", where
        assert "0.0.0.0" not in prefect["PREFECT_UI_API_URL"], where
        assert prefect["PREFECT_UI_API_URL"].rstrip("}").endswith(":4200/api"), where
    for where, mlflow in servers(repository, compose, "mlflow").items():
        assert mlflow["MLFLOW_DISABLE_TELEMETRY"] == "true", where
        assert mlflow["DO_NOT_TRACK"] == "true", where
        assert "127.0.0.1:5000" in mlflow["MLFLOW_SERVER_ALLOWED_HOSTS"], where
        assert mlflow["MLFLOW_ARTIFACTS_DESTINATION"], where


def test_no_secret_is_an_argument_of_a_server(repository: Path, compose: dict):
    """`ps` shows arguments to everybody on the machine."""
    said = [str(s.get("command", "")) + str(s.get("entrypoint", ""))
            for s in compose["services"].values()]  # fmt: skip
    said += [unit(p)[1] for p in (repository / "infra/systemd").glob("bertops-*.service")]
    script = (repository / "infra/images/mlflow.sh").read_text()
    said.append(script[script.index("exec ") :])
    for command in said:
        assert not re.search(r"\$|PASSWORD|SECRET|KEY|--backend-store-uri", command), command


def test_every_pool_of_the_deployments_has_a_worker(repository: Path, compose: dict):
    pools = {one["work_pool"]["name"] for one in read_deployments(repository).values()}
    in_compose = {c[c.index("--pool") + 1] for s in compose["services"].values()
                  if "worker" in (c := s.get("command", []))}  # fmt: skip
    in_k8s = {p.stem.removeprefix("worker-") for p in
              (repository / "infra/k8s/base").glob("worker-*.yaml")}  # fmt: skip
    assert in_compose == in_k8s == pools
    assert unit(repository / "infra/systemd/bertops-worker@.service")[1].count("--pool %i ") == 1
    told = (repository / "infra/README.md").read_text()
    assert all(f"bertops-worker@{pool}" in told for pool in pools)


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
    extras = re.findall(r'"\.\[([a-z,]+)\]"', "\n".join(lines))
    assert not {"services", "dev"} & {extra for few in extras for extra in few.split(",")}


def test_images_hold_what_they_need_and_no_secret(repository: Path):
    """What is copied is named, lies in what .dockerignore lets in, and that is no place of .env."""
    first, *rules = [x for x in (repository / ".dockerignore").read_text().splitlines()
                     if x and not x.startswith("#")]  # fmt: skip
    let_in = [rule[1:] for rule in rules if rule.startswith("!")]
    assert first == "*"
    assert "**/.env" in rules[len(let_in) :], "what comes last decides"
    for image in (repository / "infra/images").glob("*.Dockerfile"):
        for line in re.findall(r"^COPY (.*)$", image.read_text(), re.M):
            for source in line.split()[:-1]:
                assert any(Path(source).match(rule) for rule in let_in), f"{image.name}: {source}"
                assert (repository / source).exists()
                assert Path(source).suffix or source in {"bertops", "flows", "LICENSE"}, source


def test_git_knows_no_file_of_secrets(repository: Path):
    def ignored(path: str) -> bool:
        asked = ["git", "check-ignore", "--quiet", "--no-index", path]
        return subprocess.run(asked, cwd=repository).returncode == 0

    assert ignored("infra/compose/.env")
    assert ignored(".env")
    assert not ignored("infra/compose/.env.example")


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_kustomize_builds_and_pods_run_as_users(repository: Path, overlay: str):
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl")
    built = subprocess.run(
        ["kubectl", "kustomize", f"infra/k8s/overlays/{overlay}"],
        cwd=repository, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    pods = {d["metadata"]["name"]: d["spec"] for d in yaml.safe_load_all(built.stdout)
            if d["kind"] in ("Deployment", "StatefulSet")}  # fmt: skip
    assert len(pods) == 5
    assert pods["worker-cpu"]["replicas"] == {"staging": 1, "production": 2}[overlay]
    for pod in (one["template"]["spec"] for one in pods.values()):
        assert pod["securityContext"]["runAsNonRoot"]
        assert "emptyDir" not in str(pod), "what it keeps would be gone with the pod"
        for container in pod["containers"]:
            assert "memory" in container["resources"]["limits"]
            assert not container["image"].endswith(":latest")


def test_systemd_accepts_the_units(repository: Path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    units = [str(p) for p in (repository / "infra/systemd").glob("bertops-*") if p.is_file()]
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


def test_one_run_of_each_writing_deployment_at_a_time(repository: Path):
    for name, one in read_deployments(repository).items():
        if name in {"pipeline", "pipeline-gpu", "retrain", "backfill"}:
            assert one["concurrency_limit"]["limit"] == 1


def test_schedules_name_their_time_zone(repository: Path):
    for one in read_deployments(repository).values():
        for schedule in one.get("schedules", ()):
            assert schedule["timezone"]


def test_variables_of_the_reference_are_told_once():
    names = [variable.name for variable in (*VARIABLES, *SERVER_VARIABLES)]
    assert len(names) == len(set(names))


def test_every_runbook_has_symptom_check_and_cure(repository: Path):
    for page in (repository / "infra/runbooks").glob("*.md"):
        text = page.read_text()
        assert "**Symptom.**" in text
        assert "```sh" in text
