"""Scripts and commands in processes of their own, as a user runs them, but with the libraries imported already.

Importing torch takes a process two to four seconds. A server that has imported the libraries, and nothing of
quickstudy, forks for each of these.
"""

import importlib
import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

SOURCE = Path(__file__).resolve().parents[1] / "src"
LIBRARIES = ["torch", "matplotlib.figure", "matplotlib.backends.backend_svg", "matplotlib.backends.backend_agg", "tyro"]
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload([*LIBRARIES, "safetensors.torch", "sklearn.ensemble", "sklearn.linear_model", "jinja2"])


class Done(NamedTuple):
    """As subprocess.CompletedProcess has them."""

    returncode: int
    stdout: str
    stderr: str


def run(
    *words: object, cwd: Path | None = None, path: Sequence[object] = (SOURCE,), env: Mapping[str, str] | None = None
) -> Done:
    """What ``python WORDS`` does: ``SCRIPT ...``, ``-m MODULE ...`` or ``-c CODE ...``.

    Args:
        words: what follows ``python``.
        cwd: the current folder (None: this process's).
        path: the folders to import from, before those of the installed packages.
        env: environment variables beside this process's.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("stdout", "stderr")]
        given = [str(word) for word in words], str(cwd or Path.cwd()), [str(p) for p in path]
        process = _server.Process(target=_as_main, args=(*given, {**os.environ, **(env or {})}, *map(str, files)))
        process.start()
        process.join()
        assert process.exitcode is not None
        return Done(process.exitcode, *(file.read_text("utf-8") for file in files))


def output(*words: object, **given: Any) -> str:
    """What a script that ends well prints."""
    done = run(*words, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def benchmark(name: str) -> ModuleType:
    """A module of ``benchmarks/``, in this process."""
    folder = str(SOURCE.parent / "benchmarks")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


def _as_main(words: list[str], cwd: str, path: list[str], env: dict[str, str], *files: str) -> None:
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, encoding="utf-8")
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    installed = [p for p in sys.path if "site-packages" in p or p.startswith((sys.base_prefix, sys.exec_prefix))]
    first, *rest = words
    if first == "-c":
        sys.path, sys.argv = ["", *path, *installed], ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        sys.path, sys.argv = [cwd, *path, *installed], rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path, sys.argv = [str(Path(first).resolve().parent), *path, *installed], words
        runpy.run_path(first, run_name="__main__")
