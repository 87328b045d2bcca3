"""Packages that only some uses need: extras of the project, asked for before the work begins."""

import importlib.util

from bertops.errors import BertopsError


class PackageMissing(BertopsError):
    """A package that brings data, reads a format or does part of the work is not installed."""

    def __init__(self, package: str, reason: str, remedy: str) -> None:
        self.package = package
        super().__init__(f"package {package!r} is not installed; {reason}. {remedy}")


def require(extra: str, *modules: str, reason: str) -> None:
    """See that the modules of an extra are there, without importing them.

    Args:
        extra: its name in pyproject.toml.
        reason: what needs them, as in "tagging needs it".

    Raises:
        PackageMissing: names the first that is missing and the command that brings it.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            remedy = f"Install the extra: pip install -c constraints.txt -e '.[{extra}]'."
            raise PackageMissing(module, reason, remedy)
