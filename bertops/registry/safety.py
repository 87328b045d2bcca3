"""Safety: what a version may hold. Known kinds of files alone, and nothing that runs.

A list of what is allowed, not of what is dangerous: an archive or a pickle under a new name is
refused because nobody listed it. Nothing here unpacks, imports or deserialises what it looks at.
"""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bertops.inference.load import ModelRefused, check_files
from bertops.registry.signing import DOWNLOAD_NOTE, SIGNATURE

MODEL_KINDS = {".safetensors", ".json", ".txt", ".jinja", ".model", ".md"}
"""Endings of the files of a model directory in Hugging Face form."""

PACKAGE_FILES = {
    *("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"),
    *("input_example.json", "serving_input_example.json"),
    *("README.md", "LICENSE", "SHA256SUMS", "sbom.cdx.json", SIGNATURE, "export.sig"),
    *("evaluation.json", "report.html", "params.yaml"),
    DOWNLOAD_NOTE,
}
"""Files at the top of a package."""

BEGINNINGS = {
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program",
}
"""First bytes that no file of ours has, whatever its name."""


def check_model(directory: Path) -> None:
    """Refuse a model directory with anything but weights in safetensors and their descriptions.

    Raises:
        ModelRefused: a file is of another kind, a link, or asks for remote code, however nested.
    """
    for path in _entries(directory):
        name = path.relative_to(directory)
        if path.suffix not in MODEL_KINDS:
            raise ModelRefused(str(directory), f"holds {name}, which no model of ours needs")
        _check_bytes(directory, path)
    check_files(directory)


def check_package(directory: Path, model: str, loader: str) -> None:
    """Refuse a package with other files, or whose MLmodel file would run other code than ours.

    Args:
        model: where the model directory lies in it.
        loader: name of the module that MLflow may import to load it.

    Raises:
        ModelRefused: something is not as `build_package` writes it.
    """
    inside = directory / model
    for path in _entries(directory):
        if (
            not path.is_relative_to(inside)
            and str(path.relative_to(directory)) not in PACKAGE_FILES
        ):
            name = path.relative_to(directory)
            raise ModelRefused(str(directory), f"holds {name}, which no package of ours has")
    _check_flavors(directory, model, loader)
    check_model(inside)


def check_source(source: str) -> None:
    """Refuse an artifact address that climbs out of its store.

    Raises:
        ModelRefused: it has `..` in it, plain or encoded.
    """
    text = source
    while unquote(text) != text:
        text = unquote(text)
    if ".." in text.replace("\\", "/").split("/"):
        raise ModelRefused(source, "an artifact address must not contain '..'")


def _entries(directory: Path) -> Iterator[Path]:
    """Every file; a link or a device, which could lead elsewhere, is refused."""
    for path in sorted(directory.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            yield path
        elif not stat.S_ISDIR(mode):
            name = path.relative_to(directory)
            raise ModelRefused(str(directory), f"{name} is a link or a device, not a file")


def _check_bytes(directory: Path, path: Path) -> None:
    with path.open("rb") as handle:
        head = handle.read(8)
    for beginning, what in BEGINNINGS.items():
        if head.startswith(beginning) and not _is_safetensors(path, head):
            raise ModelRefused(str(directory), f"{path.relative_to(directory)} is {what}")


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Its first 8 bytes are the length of a JSON header, which may look like anything."""
    if path.suffix != ".safetensors":
        return False
    length = int.from_bytes(head, "little")
    if length > path.stat().st_size:
        return False
    with path.open("rb") as handle:
        handle.seek(8)
        try:
            return isinstance(json.loads(handle.read(length)), dict)
        except ValueError:
            return False


def _check_flavors(directory: Path, model: str, loader: str) -> None:
    import yaml

    try:
        described: Any = yaml.safe_load((directory / "MLmodel").read_text(encoding="utf-8"))
        flavors = described["flavors"]
        served = flavors["python_function"]
    except (OSError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ModelRefused(str(directory), f"its MLmodel file cannot be read: {error}") from error
    expected = {"loader_module": loader, "data": model}
    found = {key: served.get(key) for key in expected}
    if set(flavors) != {"python_function"} or found != expected or served.get("code"):
        raise ModelRefused(
            str(directory), f"its MLmodel file would load {found}, expected {expected} alone"
        )
