"""Writing files so that a reader finds the old content or the new one, never half of it."""

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from quickstudy.core.errors import RunError


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside the target, flush to disk, and rename into place.

    Raises:
        RunError: the disk is full or the folder cannot be written; what was there before is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, content)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}. Nothing that was there before is lost; free some space "
            f"or choose another folder, then resume."
        ) from error


def put(path: Path, content: bytes, *, beside: Path | None = None) -> None:
    """What ``write_atomic`` does, in a folder that is there, for callers with an error message of their own.

    Args:
        path: the file.
        content: all of it.
        beside: where it is written before it is renamed (None: a name that no other writer has). Of a name that is
            always the same, what a kill leaves is written over by the next; then only one may write at a time.

    Raises:
        OSError: what was there before is untouched, and nothing is left beside it.
    """
    if beside is None:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        beside = Path(name)
    else:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def write_json(path: Path, content: Any) -> None:
    """``write_atomic`` of indented JSON."""
    write_atomic(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        RunError: it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}. It should be JSON as quickstudy wrote it.") from error
