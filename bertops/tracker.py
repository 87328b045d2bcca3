"""Tracker: what a training loop tells the world about itself.

The loop knows this protocol alone. `tracking/` has the one that talks to MLflow; tests use
`MemoryTracker`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Receives parameters, metrics by step, tags and files of one run."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters, nested ones by dotted names."""

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record metrics at a step. Never raises and never blocks for long: training goes on."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record tags."""

    def log_file(self, path: Path) -> None:
        """Keep a copy of a file beside the run."""


class NullTracker:
    """Forgets everything."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Forget."""

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Forget."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Forget."""

    def log_file(self, path: Path) -> None:
        """Forget."""


@dataclass
class MemoryTracker:
    """Keeps everything in memory, for tests and notebooks."""

    params: dict[str, Any] = field(default_factory=dict)
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Keep the parameters."""
        self.params.update(params)

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Keep the values of a step, in the order they came."""
        self.metrics.append((step, dict(values)))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Keep the tags."""
        self.tags.update(tags)

    def log_file(self, path: Path) -> None:
        """Keep the path."""
        self.files.append(path)
