"""Export: a version as a directory that transformers loads and a hub takes as it is."""

import shutil
from pathlib import Path

from bertops.errors import UsageError
from bertops.registry.client import Registry, Version
from bertops.registry.package import MODEL
from bertops.registry.resolve import fetch
from bertops.registry.signing import SIGNATURE, sign, verify
from bertops.storage import hash_file, write_text, write_whole

EXPORT_SIGNATURE = "export.sig"
"""Where a package keeps the signature of its export, so that exporting needs no private key."""

BESIDE = ("README.md", "LICENSE", "evaluation.json", "report.html", "sbom.cdx.json")
"""What goes beside the model, where the package has it."""


def export(registry: Registry, version: Version, target: Path, cache: Path) -> Path:
    """Write a version to a new directory: model, card, licence, hashes, SBOM and signature.

    Raises:
        UsageError: there is something at `target` already.
        ContentChanged, ModelRefused, SignatureRefused: the files are not fit to be given away.
        FilesNotMoved: the store did not give them.
    """
    if target.exists():
        raise UsageError(f"{target} is there already; give the name of a new directory")
    package = fetch(registry, version, cache)
    with write_whole(target) as partial:
        lay_out(package, partial)
        if (package / EXPORT_SIGNATURE).is_file():
            shutil.copyfile(package / EXPORT_SIGNATURE, partial / SIGNATURE)
        if registry.public_key is not None:
            verify(partial, registry.public_key)
    return target


def lay_out(package: Path, target: Path) -> None:
    """Write the exported form of a package: the model at the top, the rest beside it.

    The same package always gives the same files, so the signature made when it was registered
    holds for every export.
    """
    shutil.copytree(package / MODEL, target)
    for name in BESIDE:
        if (package / name).is_file():
            shutil.copyfile(package / name, target / name)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    lines = (f"{hash_file(path)}  {path.relative_to(target).as_posix()}\n" for path in files)
    write_text(target / "SHA256SUMS", "".join(lines))


def sign_package(package: Path, private_key: Path, work: Path) -> None:
    """Sign a package, and the export it will give.

    Args:
        work: an empty folder for the export while it is signed.
    """
    lay_out(package, work / "export")
    sign(work / "export", private_key)
    shutil.copyfile(work / "export" / SIGNATURE, package / EXPORT_SIGNATURE)
    sign(package, private_key)
