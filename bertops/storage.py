"""Files: written whole or not at all, and known by the hash of what they hold."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def write_whole(target: Path) -> Iterator[Path]:
    """A temporary neighbour of `target` to write to; it takes the name when the block ends well.

    Works for a file and for a directory (make the directory inside the block). An error inside
    the block removes the temporary one and leaves `target` as it was. Of several writers the last
    one wins, each with a whole result. A process that is killed leaves only a `.partial`
    neighbour, which the next write on the same machine removes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    partial, old = _neighbour(target), _neighbour(target)
    try:
        yield partial
        if not partial.exists():
            raise FileNotFoundError(f"nothing was written to {partial}")
        for file in _files(partial):
            _sync(file)
        for folder in [partial, *partial.rglob("*/")] if partial.is_dir() else []:
            _sync(folder)
        _take_name(partial, target, old)
        _sync(target.parent)
    finally:
        remove(partial)
        remove(old)


def _neighbour(target: Path) -> Path:
    """A name beside `target` that no other writer has: with machine, process and a random part."""
    own = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
    return target.with_name(f".{target.name}.{own}.partial")


def _remove_abandoned(target: Path) -> None:
    """Remove what processes of this machine left that are gone."""
    found = f".{glob.escape(target.name)}.{glob.escape(socket.gethostname())}.*.partial"
    for path in target.parent.glob(found):
        if not _is_alive(int(path.name.split(".")[-3])):
            remove(path)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _take_name(partial: Path, target: Path, old: Path) -> None:
    """Rename, and first move away a directory that is in the way; never delete it half."""
    while True:
        if target.is_dir() or partial.is_dir():
            with contextlib.suppress(FileNotFoundError):
                target.replace(old)
        try:
            partial.replace(target)
            return
        except OSError as error:  # another writer's directory took the name just now
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            remove(old)


def _files(path: Path) -> Iterator[Path]:
    yield from [path] if path.is_file() else (p for p in sorted(path.rglob("*")) if p.is_file())


def _sync(path: Path) -> None:
    """Have the disk hold a file's content, or a directory's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def count_bytes(path: Path) -> int:
    """Size of a file, or of all files below a directory."""
    return sum(file.stat().st_size for file in _files(path))


def remove(path: Path) -> None:
    """Remove a file or a whole directory; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with write_whole(target) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write readable JSON, whole or not at all; same value, same bytes. NaN is refused."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def hash_file(path: Path) -> str:
    """sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def hash_tree(path: Path) -> str:
    """sha256 of a file or of a directory: names and contents, whatever the order or the times."""
    if path.is_file():
        return hash_file(path)
    lines = (f"{hash_file(p)}  {p.relative_to(path).as_posix()}\n" for p in _files(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hash_code(*packages: Path) -> str:
    """sha256 of the Python files of packages: what is kept is known by the code that made it."""
    files = sorted(file for package in packages for file in package.rglob("*.py"))
    lines = (f"{hash_file(file)}  {file.parent.name}/{file.name}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
