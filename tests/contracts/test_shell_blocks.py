"""Commands of other programs in runbooks and how-tos: read by those programs, and not run.

Those of bertops are in test_spoken_commands.py; restoring the databases is done in
tests/services/test_backup.py.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cyclopts.exceptions import CycloptsError
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser
from prefect.cli._app import _app as prefect

from tests.conftest import tracked_files

SETTING = r"(?:[A-Z_]+=\S+ )*"


def commands(repository: Path, program: str) -> Iterator[tuple[str, list[str]]]:
    """Page and words of each command in a block of shell, or whole between backticks."""
    for page in (p for p in tracked_files() if p.suffix == ".md" and "reference" not in p.parts):
        text = (repository / page).read_text(encoding="utf-8")
        blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        lines += [" ".join(code.split()) for code in re.findall(rf"`({program} [^`]+)`", outside)]
        for line in lines:
            if said := re.match(rf"\s*(?:\$ )?{SETTING}{program} (.*)", line):
                yield str(page), shlex.split(said[1], comments=True)


def test_dvc_understands_its_commands(repository: Path):
    found = list(commands(repository, "dvc"))
    assert len(found) > 8
    parser = get_main_parser()
    for page, words in found:
        try:
            parser.parse_args(words)
        except (DvcParserError, SystemExit):
            pytest.fail(f"{page}: dvc {' '.join(words)}")


def test_prefect_understands_its_commands(repository: Path):
    found = list(commands(repository, "prefect"))
    assert len(found) >= 3
    for page, words in found:
        try:
            prefect.parse_args(words, print_error=False, exit_on_error=False)
        except CycloptsError as wrong:
            pytest.fail(f"{page}: prefect {' '.join(words)}: {wrong}")


def test_systemd_has_the_units_that_are_started_and_stopped(repository: Path):
    units = repository / "infra/systemd"
    found = [(page, word) for page, words in commands(repository, "systemctl")
             for word in words if word.startswith("bertops-") and "*" not in word]  # fmt: skip
    assert len(found) > 6
    for page, name in found:
        file = name if name.endswith(".timer") else f"{re.sub('@.*', '@', name)}.service"
        assert (units / file).exists(), f"{page}: {name}"


def test_compose_has_the_services_that_are_named(repository: Path):
    known = yaml.safe_load((repository / "infra/compose/compose.yaml").read_text())["services"]
    for page, words in commands(repository, "docker compose"):
        if words[0] in {"run", "exec"}:
            name = next(word for word in words[1:] if not word.startswith("-"))
            assert name in known, f"{page}: {name}"
