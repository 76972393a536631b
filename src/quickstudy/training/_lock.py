"""One training at a time in a run folder. A lock that ends with its process: a kill leaves none behind."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from quickstudy.core.errors import RunError
from quickstudy.core.files import reason


class _Held(threading.local):
    def __init__(self) -> None:
        self.folders: set[Path] = set()


_held = _Held()


@contextmanager
def locked(folder: Path | None) -> Generator[None]:
    """Hold a run folder (None: there is none), which is made if it is not there; once more within itself, too.

    Raises:
        RunError: another process or thread trains there, or it cannot be written.
    """
    own = None if folder is None else folder.absolute()
    if own is None or own in _held.folders:
        yield
        return
    try:
        is_new = not own.exists()
        own.mkdir(parents=True, exist_ok=True)
        lock = FileLock(own / ".lock")
        with suppress(NotImplementedError):  # a file system without locks
            lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            f"another process is training in {folder}; wait until it has ended, or choose another folder."
        ) from error
    except (OSError, ValueError) as error:
        raise RunError(f"cannot write {folder}: {reason(error)}; choose another folder.") from error
    _held.folders.add(own)
    try:
        yield
    finally:
        _held.folders.discard(own)
        lock.release()
        if is_new and [file.name for file in own.iterdir()] == [".lock"]:  # nothing came of it
            with suppress(OSError):
                (own / ".lock").unlink()
                own.rmdir()
