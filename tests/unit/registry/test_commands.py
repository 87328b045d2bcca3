"""`bertops registry` on names and numbers that do not exist."""

from dataclasses import dataclass, field

import pytest
from typer.testing import CliRunner

from bertops.cli import registry as commands
from bertops.cli.app import app
from bertops.registry.client import VersionMissing
from tests.unit.registry.memory_ledger import MemoryLedger


@dataclass
class OneModel:
    """A registry with `sentiment`, which has no version."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    def names(self):
        return ["sentiment"]

    def versions(self, name):
        return []

    def version(self, name, number):
        raise VersionMissing(name, f"version {number}")

    def __getattr__(self, name):
        return getattr(self.ledger, name)


@pytest.fixture
def registry(monkeypatch):
    made = OneModel()
    monkeypatch.setattr(commands, "_open", lambda root: made)
    return made


def say(*arguments):
    done = CliRunner().invoke(app, ["registry", *arguments])
    return done.exit_code, f"{done.output} {done.exception}"


@pytest.mark.parametrize("command", ["list", "history"])
def test_an_unknown_model_is_named_with_those_that_are_there(registry, command):
    code, said = say(command, "sentimant")
    assert code != 0
    assert "no model 'sentimant' is registered; did you mean 'sentiment'?" in said
    assert "there are: sentiment" in said
    assert say(command, "sentiment")[0] == 0


def test_a_version_that_is_not_there_cannot_be_approved(registry):
    code, said = say("approve", "sentiment", "99", "--why", "x")
    assert code != 0
    assert "has no version 99" in said
    assert registry.ledger.log == {}
