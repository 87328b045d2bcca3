"""Hash the objects of DVC's cache again: DVC takes them at their word.

An object that is read-only, and one that was just pulled, DVC never reads again (`dvc-data`,
`LocalHashFileDB.check`); a byte that flipped on a disk or on the way would be trained on.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LISTING = ".dir"
"""How the hash of a directory ends; its object is a JSON list of the files in it."""


def drop_damaged(root: Path, cache: Path, entry: Mapping[str, Any]) -> list[str]:
    """Remove the cached objects of a stage's outputs that are not what their name says.

    Their copies among the outputs go too, where these are as wrong; so DVC makes or fetches them
    again instead of taking them for good.

    Args:
        cache: DVC's cache, the folder that holds files/md5.
        entry: of dvc.lock.

    Returns:
        Paths of the outputs that were damaged, relative to the project.
    """
    found = []
    for md5, path in _objects(cache, entry):
        place = _place(cache, md5)
        if not place.exists() or _md5(place) == md5.removesuffix(LISTING):
            continue
        found.append(path)
        place.unlink()
        output = root / path
        if output.is_file() and _md5(output) != md5:
            output.unlink()
    return found


def _objects(cache: Path, entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """md5 and path of each output, a directory followed by the files in it."""
    for out in entry.get("outs", ()):
        md5, path = str(out["md5"]), str(out["path"])
        yield md5, path
        listing = _place(cache, md5)
        if md5.endswith(LISTING) and listing.exists():  # damaged ones were removed meanwhile
            for one in json.loads(listing.read_bytes()):
                yield one["md5"], f"{path}/{one['relpath']}"


def _place(cache: Path, md5: str) -> Path:
    return cache / "files/md5" / md5[:2] / md5[2:]


def _md5(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "md5").hexdigest()
