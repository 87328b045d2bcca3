"""What the project promises about itself."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import tracked_files


def test_imports_keep_their_direction(repository: Path):
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=repository, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout


def test_every_dependency_is_pinned(repository: Path):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(name for extra in extras for name in extra)]
    pins = (repository / "constraints.txt").read_text().lower().replace("_", "-")
    for requirement in wanted:
        if requirement.startswith("bertops["):
            continue
        name = requirement.split("[")[0].split("<")[0].split(">")[0].split("=")[0].strip()
        assert f"\n{name.lower().replace('_', '-')}==" in pins, requirement


def test_pins_name_no_local_build_and_no_folder(repository: Path):
    pins = (repository / "constraints.txt").read_text()
    assert "+cpu" not in pins
    assert "@ file" not in pins
    assert "\n-e " not in pins


def test_ci_runs_exactly_the_tests(repository: Path):
    script = (repository / ".ci/run").read_text().strip().splitlines()
    assert script[-1] == "exec make test"


@pytest.mark.parametrize("name", ["_home_", "_root_", "_srv_", "_Users_"])
def test_no_path_of_one_machine_is_in_the_project(repository: Path, name: str):
    needle = name.replace("_", "/").encode()
    for path in tracked_files():
        if (
            path.suffix in {".py", ".yaml", ".toml", ".md", ".txt", ".svg"}
            or path.name == "Makefile"
        ):
            assert needle not in (repository / path).read_bytes(), path


def test_no_large_file_is_tracked(repository: Path):
    large = [p for p in tracked_files() if (repository / p).stat().st_size > 2**20]
    assert large == []
