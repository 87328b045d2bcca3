"""Lineage: what a result came from, as facts that can be looked up again."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bertops.storage import hash_file

# The packages whose version can change a result.
PACKAGES = (
    "bertops",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "datasets",
    "scikit-learn",
)


@dataclass(frozen=True)
class Lineage:
    """What a result came from."""

    git_commit: str | None
    """None outside a git repository or before the first commit."""
    git_dirty: bool
    """Whether tracked files differed from the commit; dvc.lock itself is not counted, since a
    run rewrites it and its hash stands beside."""
    dvc_lock: str | None
    """sha256 of dvc.lock: every input, parameter and output of the graph. None without one."""
    data: Mapping[str, str] = field(default_factory=dict)
    """Hash of each piece of data by its name, such as corpus or tokenizer."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Version of each package that can change a result."""

    def tags(self) -> dict[str, str]:
        """The facts as tags, all under `bertops.`, for runs and registered versions."""
        tags = {
            "bertops.git_commit": self.git_commit or "",
            "bertops.git_dirty": str(self.git_dirty).lower(),
            "bertops.dvc_lock": self.dvc_lock or "",
        }
        tags |= {f"bertops.data.{name}": digest for name, digest in self.data.items()}
        tags |= {f"bertops.package.{name}": number for name, number in self.packages.items()}
        return tags


def read_lineage(root: Path, data: Mapping[str, str] | None = None) -> Lineage:
    """The lineage of what is made now in the project at `root`.

    Args:
        data: hashes by name that the caller knows, such as the corpus'.
    """
    lock = root / "dvc.lock"
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    return Lineage(
        git_commit=_git(root, "rev-parse", "HEAD") or None,
        git_dirty=bool(changed),
        dvc_lock=hash_file(lock) if lock.is_file() else None,
        data=dict(data or {}),
        packages=package_versions(),
    )


def package_versions() -> dict[str, str]:
    """Installed version of each package of `PACKAGES`; those not installed are left out."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _git(root: Path, *arguments: str) -> str:
    """What git says, or nothing where git or the repository is missing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
