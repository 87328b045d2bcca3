"""Promotion: gates, perhaps a person's word, promote, try it, and roll back when it fails."""

from pathlib import Path

from prefect import flow
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run

from bertops import release
from bertops.errors import BertopsError, GateRefused
from bertops.paths import Paths
from bertops.registry.promote import Promotion, approve, rollback
from bertops.registry.smoke import smoke_test
from flows.notify import notify
from flows.tasks import say

APPROVAL_S = 24 * 3600
"""How long a person has; no answer means no."""


class NotApproved(GateRefused):
    """Nobody approved in time."""

    def __init__(self, model: str, version: int, waited_s: int) -> None:
        self.model, self.version, self.waited_s = model, version, waited_s
        super().__init__(
            f"{model} version {version} passed its gates, and nobody resumed the flow run within "
            f"{waited_s} s, which means no. Run the promotion again to ask again."
        )


@flow(name="promotion")
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
        ask: pause the run until a person resumes it (needs a Prefect server).
        timeout_s: how long that person has.

    Raises:
        PromotionRefused: a gate said no.
        NotApproved: nobody resumed the run in time.
        BertopsError: the new champion failed its smoke test; the one before it is back.
    """
    root = root.resolve()
    decision = release.decide_version(root, model, version)
    if ask and decision.passed and not decision.already:
        _wait_for_a_person(model, version, timeout_s)
        approve(release.open_registry(Paths(root)), model, version, why=why)
    done = release.promote_version(root, model, version, why=why)
    say(done.sentence)
    if done.changed:
        try_or_roll_back(root, model, version)
    notify(f"promotion of {model} {version}", done.sentence)
    return done


def _wait_for_a_person(model: str, version: int, timeout_s: int) -> None:
    try:
        pause_flow_run(timeout=timeout_s)
    except FlowPauseTimeout as late:
        raise NotApproved(model, version, timeout_s) from late


def try_or_roll_back(root: Path, model: str, version: int) -> None:
    """Ask the new champion something; if that fails, the old one comes back.

    Raises:
        BertopsError: what went wrong, after the roll-back.
    """
    paths = Paths(root)
    registry, cache = release.open_registry(paths), paths.state / "models"
    try:
        smoke_test(registry, model, version, cache)
    except BertopsError as error:
        if "previous_champion" in registry.aliases(model):
            back = rollback(registry, model, why=f"smoke test failed: {error}")
            say(back.sentence)
        notify(f"{model} {version} failed its smoke test", str(error))
        raise
