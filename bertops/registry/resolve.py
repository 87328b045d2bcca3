"""Resolve: models:/sentiment@champion → a directory whose content has been checked."""

import re
from pathlib import Path

from bertops.errors import BertopsError, UsageError
from bertops.registry.client import Registry, Version, VersionMissing
from bertops.registry.package import MODEL
from bertops.storage import hash_tree, write_whole

ADDRESS = re.compile(r"models:/(?P<name>[^/@:]+)(?:/(?P<number>\d+)|@(?P<alias>[\w.-]+))")


class ContentChanged(BertopsError):
    """The files of a version are not those that were registered."""

    def __init__(self, version: Version, found: str) -> None:
        self.version, self.expected, self.found = version, version.content, found
        super().__init__(
            f"the files of {version.name} version {version.number} have changed since they were "
            f"registered: expected content {version.content[:12]}, found {found[:12]} at "
            f"{version.source}. Do not use them; restore the artifact store, or roll back."
        )


def find_version(registry: Registry, address: str) -> Version:
    """The version behind `models:/name/3` or `models:/name@alias`.

    Raises:
        UsageError: the address is malformed.
        VersionMissing: there is no such version or alias.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(f"{address!r} is no model address; write models:/NAME@ALIAS or /NUMBER")
    name, number, alias = match["name"], match["number"], match["alias"]
    if number:
        return registry.version(name, int(number))
    pointed = registry.aliases(name).get(alias)
    if pointed is None:
        raise VersionMissing(name, f"alias @{alias}")
    return registry.version(name, pointed)


def resolve(registry: Registry, address: str, cache: Path) -> Path:
    """A local directory with the model behind an address, in Hugging Face form.

    Files are fetched once and kept under `cache` by their content hash, which is checked each
    time: what was altered in the store or in the cache is refused.

    Raises:
        UsageError: the address is malformed.
        VersionMissing: there is no such version or alias.
        ContentChanged: the files are not those that were registered.
    """
    version = find_version(registry, address)
    local = cache / version.content
    if not local.is_dir():
        _fetch(registry, version, local)
    found = hash_tree(local)
    if found != version.content:
        raise ContentChanged(version, found)
    return local


def _fetch(registry: Registry, version: Version, local: Path) -> None:
    """Download the model directory of a version, and keep it only if its content is right."""
    from mlflow.artifacts import download_artifacts

    with write_whole(local) as partial:
        partial.mkdir()
        source = f"{version.source}/{MODEL}"
        got = Path(download_artifacts(source, dst_path=str(partial), tracking_uri=registry.address))
        found = hash_tree(got)
        if found != version.content:
            raise ContentChanged(version, found)
        _flatten(got, partial)


def _flatten(inner: Path, outer: Path) -> None:
    """Move what is in `inner` up to `outer`, which contains it."""
    for path in list(inner.iterdir()):
        path.rename(outer / path.name)
    while inner != outer:
        inner.rmdir()
        inner = inner.parent
