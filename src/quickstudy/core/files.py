"""Writing files so that a reader finds the old content or the new one, never half of it; reading what may be anything.

A file that is read may come from somebody else: nothing here waits for a pipe, trusts a size, or follows JSON into
depths where Python gives up.
"""

import errno
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from quickstudy.core.errors import DataError, RunError

LARGEST = 100_000_000
"""Bytes of a file of JSON that is still read."""
DEEPEST = 100
"""Lists and objects of JSON within each other."""
_UNFINISHED = re.compile(r"\.(\d+)-[0-9a-f]{8}\.unfinished|\.[\w.-]+\.(json|jsonl|safetensors|svg|png|html)\.\w{8}")
"""What a kill leaves: of a process by its number, or of an older version, which did not say whose."""


def write_atomic(path: Path, content: bytes, *, anywhere: bool = False) -> None:
    """Write beside the target, flush to disk, and rename into place; devices and pipes are written to as they are.

    Args:
        path: the file; folders above it are made.
        content: all of it.
        anywhere: a person named the path, so a link there is followed. Else one that leads out of its folder is
            refused: a run folder may come from somebody else.

    Raises:
        RunError: the disk is full or the folder cannot be written; what was there before is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        put(place(path, anywhere=anywhere), content)
    except (OSError, ValueError) as error:
        raise RunError(
            f"cannot write {path}: {reason(error)}. Nothing that was there before is lost; {advice(error)}."
        ) from error


def place(path: Path, *, anywhere: bool = False) -> Path:
    """Where a path leads to, its links followed.

    Raises:
        OSError: it leads out of its folder, and may not (see ``write_atomic``).
    """
    found = Path(os.path.realpath(path)) if path.is_symlink() else path
    if not anywhere and found is not path and not found.is_relative_to(os.path.realpath(path.parent)):
        raise OSError(f"it is a link to {found}, out of its folder")
    return path if _special(path) else found


def _special(path: Path) -> bool:
    """Whether it is a device or a pipe (at the end of a link, too)."""
    try:
        return not (stat.S_ISREG(mode := path.stat().st_mode) or stat.S_ISDIR(mode))
    except FileNotFoundError:
        return False


def put(path: Path, content: bytes, *, beside: Path | None = None) -> None:
    """What ``write_atomic`` does, in a folder that is there, for callers with an error message of their own.

    Args:
        path: the file, no link.
        content: all of it.
        beside: where it is written before it is renamed (None: a name that no other writer has). Of a name that is
            always the same, what a kill leaves is written over by the next; then only one may write at a time.

    Raises:
        OSError: what was there before is untouched, and nothing is left beside it.
    """
    if _special(path):
        handle = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe that nobody reads is an error
        os.set_blocking(handle, True)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return
    beside = beside or path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.unfinished")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):  # who may read the file stays as it was; of a new one the umask says so
            os.chmod(beside, stat.S_IMODE(path.stat().st_mode))
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder; those that still write keep theirs."""
    with suppress(OSError):
        for path in folder.iterdir():
            found = _UNFINISHED.fullmatch(path.name)
            if found and not (found[1] and _lives(int(found[1]))):
                path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    if sys.platform == "win32" or process == os.getpid():  # where asking would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def write_json(path: Path, content: Any) -> None:
    """``write_atomic`` of indented JSON."""
    write_atomic(path, (json.dumps(content, indent=2) + "\n").encode())


def read_bytes(path: Path, *, most: int | None = None) -> bytes:
    """All of a regular file.

    Args:
        path: the file.
        most: bytes from which on it is not read (None: any number that fits into memory).

    Raises:
        OSError: it cannot be read, or is a folder, a device or a pipe (which might never end).
        ValueError: it is too large.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is no regular file")
    if most is not None and status.st_size > most:
        raise ValueError(f"it has more than {most:,} bytes")
    try:
        return path.read_bytes()
    except MemoryError as error:
        raise ValueError(f"it has {status.st_size:,} bytes, which do not fit into memory") from error


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        RunError: it is missing or not JSON.
    """
    try:
        return parse_json(read_bytes(path, most=LARGEST))
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {reason(error)}. It should be JSON as quickstudy wrote it.") from error


def parse_json(text: bytes | str) -> Any:
    """JSON, nested no deeper than ``DEEPEST``.

    Raises:
        ValueError: it is not JSON, not UTF-8, or deeper.
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    level = [found]
    for _ in range(DEEPEST):
        level = [
            part for whole in level if isinstance(whole, dict | list)
            for part in (whole.values() if isinstance(whole, dict) else whole)
        ]  # fmt: skip
        if not level:
            return found
    raise ValueError("it is nested too deeply")


@contextmanager
def data_in(place: Path | str) -> Generator[None]:
    """Turn what the system says of files (a closed folder, a name too long) into a ``DataError`` with the place."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{place} cannot be read: {reason(error)}.") from error


def advice(error: BaseException) -> str:
    """What helps who could not write."""
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "free some space or choose another folder, then resume"
    return "see who may write there, or choose another place" if code else "choose another place"


def reason(error: BaseException) -> str:
    """What went wrong, without the path, which the sentence around it names."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
