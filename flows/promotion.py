"""Promotion: gates, perhaps a person's word, promote, try it, and roll back when it fails."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.flow_runs import suspend_flow_run
from prefect.runtime import flow_run

from bertops import release
from bertops.asking import open_registry
from bertops.errors import GateRefused, UsageError
from bertops.paths import Paths
from bertops.registry.decide import Decision
from bertops.registry.promote import Promotion, approve, rollback
from bertops.registry.smoke import smoke_test
from flows.account import Account, account
from flows.tasks import SERVED, TIMEOUT_S, say

APPROVAL_S = 24 * 3600
"""How long a person has; no answer means no."""


class NotApproved(GateRefused):
    """The run goes on, and nobody resumed it."""

    def __init__(self, model: str, version: int) -> None:
        self.model, self.version = model, version
        super().__init__(
            f"{model} version {version} passed its gates, and nobody said yes while its run "
            "waited, which means no. Begin a new run to ask again."
        )


@flow(name="promotion", timeout_seconds=TIMEOUT_S)
def promotion(
    model: str,
    version: int,
    why: str = "promotion flow",
    ask: bool = False,
    root: Path = Path(),
    timeout_s: int = APPROVAL_S,
) -> Promotion:
    """Promote one version, if gates and people agree, and take it back if it does not work.

    Args:
        ask: suspend the run until a person resumes it. Nothing waits meanwhile, no process and no
            slot of a worker: the run begins anew when it is resumed, and the gates are asked anew.
        timeout_s: how long that person has; then the server fails the run, and nothing is promoted.

    Raises:
        PromotionRefused: a gate said no.
        NotApproved: the run was tried again after the time was over.
        UsageError: `ask`, and the run is not one of a deployment, which alone can begin anew.
        BertopsError: the new champion failed its smoke test; the one before it is back.
    """
    root = root.resolve()
    with account(f"promotion of {model} {version}") as told:
        decision = decide(root, model, version)
        told.tables["gates"] = [gate.to_dict() for gate in decision.gates]
        if ask and decision.passed and not decision.already:
            wait_for_a_person(told, timeout_s)
            if not was_resumed():
                raise NotApproved(model, version)
            approve(open_registry(Paths(root)), model, version, why=why)
        done = promote(root, model, version, why)
        told.said = done.sentence
        say(done.sentence)
        if done.changed:
            try_or_roll_back(root, model, version)
    return done


def wait_for_a_person(told: Account, timeout_s: int) -> None:
    """End this process until the run is resumed; in the run that was, nothing."""
    until = datetime.now(UTC) + timedelta(seconds=timeout_s)
    told.said = (
        f"its gates said yes. Resume this run in Prefect until {until:%Y-%m-%d %H:%M} UTC to "
        "promote it; no answer means no"
    )
    try:
        suspend_flow_run(timeout=timeout_s, key="approval")
    except RuntimeError as error:
        raise UsageError(
            f"ask=true: nobody can be asked ({error}). Only a run of the deployment can wait: "
            "prefect deployment run promotion/promotion"
        ) from error


def was_resumed() -> bool:
    """Whether a person resumed this run; one that is tried again passes its suspension too."""
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(UUID(flow_run.id))
    return any(state.name == "Resuming" for state in states)


@task(name="decide", **SERVED)
def decide(root: Path, model: str, version: int) -> Decision:
    """What the gates say now; nothing is recorded."""
    return release.decide_version(root, model, version)


@task(name="promote", **SERVED)
def promote(root: Path, model: str, version: int, why: str) -> Promotion:
    """Move the champion, if the gates let it."""
    return release.promote_version(root, model, version, why=why)


def try_or_roll_back(root: Path, model: str, version: int) -> None:
    """Ask the new champion something; if that fails, the old one comes back.

    Raises:
        Exception: what went wrong, after the roll-back.
    """
    try:
        try_it(root, model, version)
    except Exception as error:  # whatever it is, the version was not seen to work
        registry = open_registry(Paths(root))
        if "previous_champion" in registry.aliases(model):
            back = rollback(registry, model, why=f"smoke test failed: {error}")
            say(back.sentence)
        raise


@task(name="smoke test", **SERVED)
def try_it(root: Path, model: str, version: int) -> None:
    """Load the version from the registry and ask it something."""
    paths = Paths(root)
    smoke_test(open_registry(paths), model, version, paths.state / "models")
