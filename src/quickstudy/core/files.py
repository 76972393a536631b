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
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        raise RunError(
            f"cannot write {path}: {error.strerror or error}. Nothing that was there before is lost; free some space "
            f"or choose another folder, then resume."
        ) from error


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
