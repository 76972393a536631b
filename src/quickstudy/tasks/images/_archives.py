"""Files of a folder, a zip or a tar, read without unpacking; of what an archive says no more is believed than fits."""

import hashlib
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from quickstudy.core.errors import DataError
from quickstudy.core.files import reason

DAMAGED = (  # what the standard library raises for archives that are damaged, encrypted, or made to be
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError),
    *(ValueError, LookupError, OverflowError, MemoryError),
)
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
LARGEST = 200_000_000  # bytes of a file inside an archive

Read = Callable[[Collection[str]], Iterator[tuple[str, bytes]]]


@contextmanager
def opened(source: Path, advice: str) -> Generator[tuple[list[str], Read]]:
    """The names of the files (``folder/name``, as they are inside), and what reads some of them, in any order.

    Raises:
        DataError: within, too: the archive is damaged, or a file in it is larger than any that is expected.
    """
    try:
        if source.is_dir():
            inside = {p.relative_to(source).as_posix(): p for p in sorted(source.rglob("*")) if p.is_file()}
            yield [*inside], lambda names: ((name, inside[name].read_bytes()) for name in names)
        elif source.name.endswith(".zip"):
            with zipfile.ZipFile(source) as archive:
                yield (
                    [each.filename for each in archive.infolist() if not each.is_dir()],
                    lambda names: ((name, _of_zip(archive, name)) for name in names),
                )
        else:
            with tarfile.open(source) as tar:
                found = [each.name for each in tar if each.isfile()]
                yield found, lambda names: _of_tar(tar, {*names})
    except DAMAGED as error:
        raise DataError(f"{source} is damaged or not completely copied ({reason(error)}); {advice}.") from error


def _of_zip(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > LARGEST:
        raise zipfile.BadZipFile(f"{name} has {size:,} bytes")
    return archive.read(name)


def _of_tar(tar: tarfile.TarFile, names: set[str]) -> Iterator[tuple[str, bytes]]:
    for member in tar:  # in their order: a compressed archive cannot be gone back in
        if member.isfile() and member.name in names:
            file = tar.extractfile(member)
            if file is None or member.size > LARGEST:
                raise tarfile.ReadError(f"{member.name} has {member.size:,} bytes")
            yield member.name, file.read()


def fingerprint(*sources: Path) -> str:
    """What changes when a source does: of files the size and time, of folders the time, and so of all inside.

    Raises:
        DataError: one cannot be looked at.
    """
    marks: list[str] = []
    for source in sources:
        try:
            inside = [Path(folder) for folder, _, _ in os.walk(source)]
            inside += [each for each in source.iterdir() if each.is_file()] if source.is_dir() else []
            for each in sorted({source, *inside}):
                size = "" if each.is_dir() else each.stat().st_size
                marks.append(f"{each.resolve()} {size} {each.stat().st_mtime_ns}")
        except OSError as error:
            raise DataError(f"{source} cannot be read: {reason(error)}.") from error
    return hashlib.sha256("\n".join(marks).encode("utf-8", "surrogatepass")).hexdigest()[:16]
