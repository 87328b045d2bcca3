"""Resolve: models:/sentiment@champion → a directory whose content has been checked."""

import re
from pathlib import Path

from bertops.errors import BertopsError, UsageError
from bertops.registry.client import Registry, Version, VersionMissing, moving_files
from bertops.registry.package import LOADER, MODEL
from bertops.registry.safety import check_package, check_source
from bertops.registry.signing import verify
from bertops.storage import hash_tree, write_whole

ADDRESS = re.compile(r"models:/(?P<name>[^/@:]+)(?:/(?P<number>\d+)|@(?P<alias>[\w.-]+))")


class ContentChanged(BertopsError):
    """The files of a version are not those that were registered."""

    def __init__(self, version: Version, place: Path, expected: str, found: str) -> None:
        self.version, self.place, self.expected, self.found = version, place, expected, found
        super().__init__(
            f"the files of {version.name} version {version.number} have changed since they were "
            f"registered: expected hash {expected[:12]}, found {found[:12]} in {place}. Do not "
            f"use them. Remove {place} to fetch them again from {version.source}; if they differ "
            "there too, restore the artifact store, or roll back."
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

    Raises:
        UsageError: the address is malformed.
        VersionMissing: there is no such version or alias.
        ContentChanged, FilesNotMoved, ModelRefused, SignatureRefused: as `fetch`.
    """
    return fetch(registry, find_version(registry, address), cache) / MODEL


def fetch(registry: Registry, version: Version, cache: Path) -> Path:
    """The package of a version as a local directory, checked.

    Files are fetched once and kept under `cache`; they are checked each time, so what was altered
    in the store or in the cache is refused.

    Raises:
        ContentChanged: the files are not those that were registered.
        FilesNotMoved: the store did not give them.
        ModelRefused: they hold what could run, or climb out of their place.
        SignatureRefused: a public key is set, and it did not sign these files.
    """
    local = cache / version.name / f"{version.number}-{version.package[:32]}"
    if not local.is_dir():
        with write_whole(local) as partial:
            _download(registry, version, partial)
            check_fetched(registry, version, partial)
    check_fetched(registry, version, local)
    return local


def check_fetched(registry: Registry, version: Version, package: Path) -> None:
    """Make sure that a package is the registered one and fit to load; raises as `fetch`."""
    for place, expected in ((package / MODEL, version.content), (package, version.package)):
        found = hash_tree(place) if place.exists() else "nothing"
        if found != expected:
            raise ContentChanged(version, place, expected, found)
    check_package(package, MODEL, LOADER)
    if registry.public_key is not None:
        verify(package, registry.public_key)


def _download(registry: Registry, version: Version, target: Path) -> None:
    from mlflow.artifacts import download_artifacts

    check_source(version.source)
    target.mkdir()
    with moving_files(f"fetching {version.name} version {version.number}", version.source):
        got = Path(
            download_artifacts(version.source, dst_path=str(target), tracking_uri=registry.address)
        )
    if got != target:  # a local store keeps the last folder's name
        for path in list(got.iterdir()):
            path.rename(target / path.name)
        got.rmdir()
