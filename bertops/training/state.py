"""What a run must remember beside its weights and its optimizer."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class TrainState:
    """Where a run stands. All of it is saved with a checkpoint, as JSON."""

    step: int = 0
    """Optimizer steps done."""
    tokens: int = 0
    """Tokens seen that were not padding."""
    seconds: float = 0.0
    """Time spent training, over all sittings."""
    learning_rate: float = 0.0
    """Of the last step."""
    best_step: int | None = None
    best_loss: float | None = None
    """Lowest validation loss so far, in nats, and its step."""
    pending: list[list[float]] = field(default_factory=list)
    """What each step since the last logged one gave, in the order of `StepValues`."""
    recent: list[float] = field(default_factory=list)
    """Losses that a spike is told by; see `SpikeGuard`."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One entry for each logged step: step, tokens, loss, learning_rate, validation_*."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)

    def after(self, tokens: int, seconds: float, learning_rate: float) -> None:
        """Count one more step."""
        self.step += 1
        self.tokens += tokens
        self.seconds, self.learning_rate = seconds, learning_rate

    def record(self, values: Mapping[str, float]) -> None:
        """Add an entry to the history; the pending losses are in it now."""
        self.history.append({"step": self.step, "tokens": self.tokens, **values})
        self.pending = []
        loss = values.get("validation_loss")
        if loss is not None and (self.best_loss is None or loss < self.best_loss):
            self.best_step, self.best_loss = self.step, loss
