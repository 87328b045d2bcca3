"""The documents say what the code does."""

import re
from pathlib import Path

import pytest
import yaml

from bertops.environment import SERVER_VARIABLES, VARIABLES
from bertops.finetuning.params import TaskParams
from docs.generate import PAGES
from tests.conftest import tracked_files


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_that_of_the_code(name: str, repository: Path):
    page = (repository / "docs/reference" / name).read_text(encoding="utf-8")
    assert page == PAGES[name](), "write it anew: make docs"


def test_every_environment_variable_in_the_code_is_in_the_reference(repository: Path):
    known = {variable.name for variable in (*VARIABLES, *SERVER_VARIABLES)}
    for path in tracked_files():
        if path.parts[0] in {"bertops", "flows"} and path.suffix == ".py":
            text = (repository / path).read_text(encoding="utf-8")
            read = re.findall(r"environ(?:\.get|\.setdefault)?[\[(]\s*\"([A-Z_]+)\"", text)
            named = re.findall(r"\"((?:BERTOPS)_[A-Z_]+)\"", text)
            assert {*read, *named} - {"PATH"} <= known, path


NO_VARIABLES = {"DEFAULT_GOAL", "MAKEFILE_LIST", "ONE_THREAD"}  # the Makefile's own


def test_every_environment_variable_of_servers_is_in_the_reference(repository: Path):
    known = {variable.name for variable in (*VARIABLES, *SERVER_VARIABLES)}
    spelled = re.compile(r"\b[A-Z][A-Z0-9]+(?:_[A-Za-z0-9]+)+\b|\bPG[A-Z]+\b")
    read = [p for p in tracked_files() if p.parts[0] == "infra" and p.suffix != ".md"]
    for path in [*read, Path("Makefile")]:
        named = set(spelled.findall((repository / path).read_text(encoding="utf-8")))
        assert named - NO_VARIABLES <= known, path


def pages(repository: Path) -> list[Path]:
    return [repository / p for p in tracked_files() if p.suffix == ".md" and p.parts[0] != "tests"]


def test_every_link_inside_the_documents_leads_somewhere(repository: Path):
    for page in pages(repository):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_index(repository: Path):
    index = (repository / "docs/index.md").read_text()
    for page in pages(repository):
        place = page.relative_to(repository)
        if place.parts[0] == "docs" and place.name != "index.md":
            assert place.relative_to("docs").as_posix() in index, place


def test_every_command_in_the_documents_exists(repository: Path):
    from tests.contracts.test_cli import ALL

    spoken = re.compile(r"^\s*(?:\$ )?(bertops(?: [a-z][a-z-]*)+)", re.MULTILINE)
    groups = {name.rsplit(" ", 1)[0] for name in ALL}
    for page in pages(repository):
        for block in re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(), re.DOTALL):
            for said in spoken.findall(block):
                words = said.split(" ")
                name = " ".join(words[:3]) if " ".join(words[:2]) in groups else " ".join(words[:2])
                assert name in ALL, f"{page.name}: {said}"


def test_every_task_in_the_documents_can_be_declared(repository: Path):
    found = 0
    for page in pages(repository):
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            entries = yaml.safe_load(block)
            entries = entries.get("tasks", []) if isinstance(entries, dict) else entries
            for entry in entries:
                if "kind" in entry or "labels" in entry:
                    TaskParams.model_validate(entry)
                    found += 1
    assert found >= 8


def test_every_target_that_the_documents_name_is_in_the_makefile(repository: Path):
    makefile = (repository / "Makefile").read_text()
    for page in pages(repository):
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert f"\n{target}:" in makefile, f"{page.name}: make {target}"
