"""Where a task starts from: our encoder, or what `init_from` names."""

from importlib.util import find_spec
from pathlib import Path

from bertops.errors import UsageError
from bertops.inference.load import Resolver, check_files

_PACKAGE = "package:"


def starting_point(init_from: str | None, encoder: Path, resolve: Resolver | None = None) -> str:
    """Directory or hub id to start from.

    Args:
        init_from: None for `encoder`; a directory; `package:NAME/FOLDER` for a folder that an
            installed package carries; `models:/name@alias`, for `resolve`; else a hub id.

    Raises:
        UsageError: no such package or folder, or no resolver for a registry address.
        ModelRefused: the directory holds pickles or asks for remote code.
    """
    found = _find(init_from, encoder, resolve)
    if Path(found).is_dir():
        check_files(Path(found))
    return found


def _find(init_from: str | None, encoder: Path, resolve: Resolver | None) -> str:
    if init_from is None:
        return str(encoder)
    if init_from.startswith(_PACKAGE):
        return str(_in_package(init_from))
    if init_from.startswith("models:/"):
        if resolve is None:
            raise UsageError(f"{init_from} needs the registry, which is not at hand here")
        return str(resolve(init_from))
    return init_from


def _in_package(address: str) -> Path:
    """The folder of an installed package; the package is located and not imported."""
    name, _, folder = address.removeprefix(_PACKAGE).partition("/")
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"init_from: {address}: package {name!r} is not installed")
    path = Path(spec.submodule_search_locations[0]) / folder
    if not (path / "config.json").is_file():
        raise UsageError(f"init_from: {address}: {folder!r} in it is no model directory")
    return path
