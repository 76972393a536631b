"""Lines of JSON in a run folder: appended one by one, read past what a kill or a full disk has left between them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from quickstudy.core.errors import RunError
from quickstudy.core.files import advice, parse_json, place, read_bytes, reason, write_atomic

Record: TypeAlias = dict[str, Any]


def append(path: Path, record: Record) -> None:
    """Write one line, beginning a new one where the last was cut short.

    Raises:
        RunError: it cannot be written.
    """
    try:
        file = place(path)
        begin = b"\n" if _is_cut(file) else b""
        with open(file, "ab") as opened:
            opened.write(begin + json.dumps(record).encode() + b"\n")
    except (OSError, ValueError) as error:
        raise RunError(f"cannot write {path}: {reason(error)}; {advice(error)}.") from error


def read(path: Path, is_one: Callable[[Record], bool]) -> tuple[list[Record], int]:
    """The records of a file in order, and how many of its lines are none.

    Raises:
        RunError: the file is there, but cannot be read.
    """
    found = [_parsed(line, is_one) for line in _lines(path) if line.strip()]
    return [record for record in found if record is not None], found.count(None)


def keep(path: Path, is_one: Callable[[Record], bool], wanted: Callable[[Record], bool]) -> None:
    """Drop the records that are not wanted, and a last line that was cut short. Lines that are no records stay.

    Raises:
        RunError: the file cannot be read or written.
    """
    lines = _lines(path)
    records = [_parsed(line, is_one) for line in lines]
    kept = [
        line
        for i, (line, record) in enumerate(zip(lines, records, strict=True))
        if (wanted(record) if record is not None else i < len(lines) - 1)  # what ends no line comes last
    ]
    content = b"".join(line + b"\n" for line in kept)
    if content != b"\n".join(lines):
        write_atomic(path, content)


def _is_cut(path: Path) -> bool:
    """Whether the last line has no end.

    Raises:
        OSError: it is no regular file, or cannot be read.
    """
    if not path.exists():
        return False
    if not path.is_file():
        raise OSError("it is no regular file")
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        return file.read() not in (b"", b"\n")


def _lines(path: Path) -> list[bytes]:
    """Without their ends; what comes after the last end of a line is the last, as a rule empty."""
    try:
        return read_bytes(path).split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return [b""]
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {reason(error)}.") from error


def _parsed(line: bytes, is_one: Callable[[Record], bool]) -> Record | None:
    try:
        record = parse_json(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and is_one(record) else None
