"""SBOM: what a version is made of, as CycloneDX, so that a scanner can look for known faults."""

import json
import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from bertops.storage import hash_file, write_text


def write_sbom(
    target: Path, name: str, model_dir: Path, license: str, roots: Iterable[str]
) -> None:
    """Write a CycloneDX 1.6 document of a model and of the packages that serve it.

    Deterministic for the same files and packages: it has no date and no serial number.

    Args:
        license: SPDX id of the model's licence.
        roots: packages that serving needs; those that they need are found and added.
    """
    from cyclonedx.factory.license import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    files = [
        Component(
            type=ComponentType.FILE,
            name=path.relative_to(model_dir).as_posix(),
            bom_ref=f"file:{path.relative_to(model_dir).as_posix()}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hash_file(path))],
        )
        for path in sorted(model_dir.rglob("*"))
        if path.is_file()
    ]
    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=name,
        bom_ref=f"model:{name}",
        licenses=[LicenseFactory().make_from_string(license)],
        components=files,
    )
    bom = Bom(components=[_package(found) for found in closure(roots)])
    bom.metadata.component = model
    bom.register_dependency(model, bom.components)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    write_text(target, _without_moment(text) + "\n")


def closure(roots: Iterable[str]) -> list[Distribution]:
    """The installed packages that the roots need, they included, by name."""
    found: dict[str, Distribution] = {}
    waiting = list(roots)
    while waiting:
        name = _canonical(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        waiting += _needs(found[name])
    return [found[name] for name in sorted(found)]


def _needs(package: Distribution) -> list[str]:
    """Names of what a package requires here; extras and other systems left out."""
    from packaging.requirements import Requirement

    required = [Requirement(line) for line in package.requires or []]
    return [r.name for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]


def _package(found: Distribution) -> Any:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    name = _canonical(found.metadata["Name"])
    version = found.version.split("+")[0]
    address = PackageURL("pypi", name=name, version=version)
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        purl=address,
        bom_ref=address.to_string(),
    )


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _without_moment(text: str) -> str:
    """The document without the fields that differ each time it is written."""
    document = json.loads(text)
    document.pop("serialNumber", None)
    document["metadata"].pop("timestamp", None)
    return json.dumps(document, indent=2, sort_keys=True)
