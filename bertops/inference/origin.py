"""What `init_from` names, wherever in params.yaml it stands: model or tokenizer to start from."""

from importlib.util import find_spec
from pathlib import Path

from bertops.errors import UsageError
from bertops.inference.load import Resolver, check_files

_PACKAGE = "package:"


def locate(init_from: str, resolve: Resolver | None = None) -> str:
    """Directory or hub id behind an `init_from`.

    Args:
        init_from: a directory; `package:NAME/FOLDER` for a folder that an installed package
            carries; `models:/name@alias` or `models:/name/version`, for `resolve`; else a hub id.

    Raises:
        UsageError: no such package or folder, or no resolver for a registry address.
        ModelRefused: the directory holds pickles or asks for remote code.
    """
    found = _find(init_from, resolve)
    if Path(found).is_dir():
        check_files(Path(found))
    return found


def _find(init_from: str, resolve: Resolver | None) -> str:
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
