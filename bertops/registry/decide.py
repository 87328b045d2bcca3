"""Decide: what the gates say about a candidate, against the champion of the moment."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bertops.errors import BertopsError
from bertops.registry.client import FilesNotMoved, Registry, Version
from bertops.registry.gates import Evidence, GateResult, run_gates
from bertops.registry.history import check_aliases
from bertops.registry.params import GateParams
from bertops.registry.resolve import fetch


@dataclass(frozen=True)
class Decision:
    """What the gates say about a candidate, against the champion of that moment."""

    name: str
    candidate: int
    champion: int | None
    gates: tuple[GateResult, ...]
    already: bool = False
    """The candidate is the champion, or holds exactly the same files: nothing to decide."""

    @property
    def passed(self) -> bool:
        """Whether every gate let it through."""
        return all(gate.passed for gate in self.gates)

    @property
    def refused_by(self) -> tuple[GateResult, ...]:
        """The gates that said no."""
        return tuple(gate for gate in self.gates if not gate.passed)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {
            "passed": self.passed,
            "gates": [gate.to_dict() for gate in self.gates],
        }


def decide(
    registry: Registry,
    name: str,
    candidate: int,
    evidence: Callable[[int | None], Evidence],
    params: GateParams,
) -> Decision:
    """Ask every gate about a candidate.

    Args:
        evidence: makes the evidence, given the version of the present champion (None on the first
            run); it scores that champion afresh. When it raises, the candidate is refused.

    Raises:
        FilesNotMoved: the files of a version could not be fetched; nothing was decided.
        VersionMissing: the candidate does not exist.
        ForeignAliasWrite: the champion was set outside bertops.
    """
    version = registry.version(name, candidate)
    champion = check_aliases(registry, name).champion
    if champion is not None:
        same = registry.version(name, champion).content == version.content
        if champion == candidate or same:
            return Decision(name, candidate, champion, (), already=True)
    gates = (*_check_signature(registry, version), *_judge(evidence, champion, params))
    return Decision(name, candidate, champion, gates)


def _check_signature(registry: Registry, version: Version) -> tuple[GateResult, ...]:
    """Where a public key is configured: whether it signed exactly these files."""
    if registry.public_key is None:
        return ()
    try:
        with TemporaryDirectory() as folder:
            fetch(registry, version, Path(folder))
    except FilesNotMoved:
        raise
    except Exception as error:
        return (GateResult("signature", False, str(error)),)
    said = f"signed by the owner of {registry.public_key.name}"
    return (GateResult("signature", True, said),)


def _judge(
    evidence: Callable[[int | None], Evidence], champion: int | None, params: GateParams
) -> tuple[GateResult, ...]:
    try:
        gathered = evidence(champion)
    except FilesNotMoved:  # of the network, not of the model; the next attempt may do better
        raise
    except Exception as error:
        what = str(error) if isinstance(error, BertopsError) else f"{type(error).__name__}: {error}"
        said = f"the evidence could not be gathered: {what}"
        return (GateResult("evidence", False, said),)
    return run_gates(gathered, params, champion is not None)
