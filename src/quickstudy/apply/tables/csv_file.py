"""A table out of a text file: encoding, separator and header are found, and what was found is said."""

import codecs
import csv
import io
from collections import Counter
from pathlib import Path

from quickstudy.apply.tables.parsing import is_missing, number_style
from quickstudy.apply.tables.table import Table, as_objects, listed
from quickstudy.core.errors import DataError, UsageError
from quickstudy.core.files import read_bytes, reason

LARGEST = 500_000_000
"""Bytes of a file that is still read."""
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_OTHERS = {
    b"PK\x03\x04": "an Excel workbook or a zip",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"\x1f\x8b": "packed by gzip",
    b"SQLite": "a database",
    b"%PDF": "a PDF",
}
_SHOWN = 200  # rows that the separator and the header are judged by


def read_table(
    path: str | Path,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
) -> Table:
    """A table of texts, as they stand in a file of separated values (CSV, TSV).

    Args:
        path: the file.
        separator: between cells (None: found; comma, semicolon, tab or bar).
        encoding: of the text (None: found; UTF-8, UTF-16, else Windows-1252).
        header: whether the first row has the columns' names (None: found). Without one they are column1, column2, ...

    Raises:
        DataError: no such file, none of text, none with rows, or one whose rows differ in length.
        UsageError: an unknown encoding, or a separator that is none.
    """
    path = Path(path)
    text, called = _decoded(path, encoding)
    return table_of(text, str(path), called, separator=separator, header=header)


def table_of(
    text: str, name: str, called: str = "text", *, separator: str | None = None, header: bool | None = None
) -> Table:
    """A table of texts out of one text.

    Args:
        text: separated values, a row a line.
        name: what the table is called in a sentence.
        called: how its encoding is.
        separator: as ``read_table`` has it.
        header: likewise.

    Raises:
        DataError: none with rows, or one whose rows differ in length.
        UsageError: a separator that is none.
    """
    if text.startswith("sep=") and text[5:6] in ("\n", "\r"):  # as Excel has it
        separator, text = separator or text[4], text.split("\n", 1)[1] if "\n" in text else ""
    if not text.strip():
        raise DataError(f"{name} is empty; a table has a row of names and rows of values.")
    if separator is not None and len(separator) != 1:
        raise UsageError(f"separator must be one character, got {separator!r}.")
    separator = separator or _separator(text)
    rows = _rows(name, text, separator)
    has_header = _has_header(rows) if header is None else header
    between = SEPARATORS.get(separator, repr(separator))
    notes = [f"{between} between cells, {called}, {'a' if has_header else 'no'} header"]
    names = [f"column{i}" for i in range(1, len(rows[0]) + 1)]
    if has_header:
        names, rows = _distinct(rows[0], notes), rows[1:]
    if not rows:
        raise DataError(f"{name} has a row of names ({listed(names)}), but no rows of values.")
    columns = {name: as_objects(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True)}
    return Table(columns, name, tuple(notes), has_header, separator)


def _decoded(path: Path, encoding: str | None) -> tuple[str, str]:
    try:
        content = read_bytes(path, most=LARGEST)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {reason(error)}.") from error
    other = next((what for magic, what in _OTHERS.items() if content.startswith(magic)), None)
    if other is not None:
        raise DataError(f"{path} is {other}, not text; save the table as CSV.")
    marked = next((name for mark, name in _BOMS if content.startswith(mark)), None)
    for name in [encoding] if encoding else [marked or "utf-8", "cp1252", "latin-1"]:
        try:
            text = content.decode(name)
        except UnicodeDecodeError as error:
            if encoding:
                raise DataError(f"{path} is not in {encoding}: {error}.") from error
            continue
        except LookupError as error:
            raise UsageError(f"there is no encoding {name!r}; utf-8, cp1252 or utf-16, for example.") from error
        if "\0" in text:
            raise DataError(f"{path} is no text (or in UTF-16 without a mark: say --encoding utf-16-le).")
        return text, {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "cp1252": "Windows-1252"}.get(name, name)
    raise AssertionError("latin-1 takes every byte")


def _separator(text: str) -> str:
    """The one by which most rows have equally many cells, of those the one that gives most cells."""
    start = "\n".join(text.splitlines()[:_SHOWN])

    def fit(separator: str) -> tuple[float, int]:
        try:
            widths = Counter(len(row) for row in _parsed(start, separator) if row)
        except csv.Error:  # a cell that is too long, perhaps for a quotation mark that is left open
            return 0.0, 0
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        return (count / max(1, widths.total()) if width > 1 else 0.0), width

    return max(SEPARATORS, key=fit)


def _parsed(text: str, separator: str) -> list[list[str]]:
    return [*csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)]


def _rows(name: str, text: str, separator: str) -> list[list[str]]:
    try:
        rows = [[cell.strip() for cell in row] for row in _parsed(text, separator) if any(row)]
    except csv.Error as error:
        raise DataError(f"{name} cannot be read as a table: {error}; is a quotation mark left open?") from error
    if rows[-1] and "\n" in rows[-1][-1] and not text.rstrip().endswith('"'):
        raise DataError(f"{name} has a quotation mark that is left open: {rows[-1][-1]!r:.40}.")
    width = len(rows[0])
    wrong = [i for i, row in enumerate(rows) if len(row) != width]
    if wrong:
        row = rows[wrong[0]]
        raise DataError(
            f"{name} has {len(wrong)} rows of another length than the first, which has {width} cells: row "
            f"{wrong[0] + 1} has {len(row)} ({listed(row, most=3)}). A cell that holds the separator "
            f"({SEPARATORS.get(separator, repr(separator))}) or a line break must be in quotation marks."
        )
    return rows


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row is of names: words above numbers, or words that come nowhere below them."""
    first, below = rows[0], [*zip(*rows[1:_SHOWN], strict=True)]
    if not below:
        return True
    numeric = [number_style(as_objects(column)) is not None for column in below]
    is_word = [not is_missing(cell) and number_style(as_objects([cell])) is None for cell in first]
    above = [
        word for cell, word, number in zip(first, is_word, numeric, strict=True) if number and not is_missing(cell)
    ]
    if above:
        return any(above)
    named = [cell for cell in first if cell]
    return len({*named}) == len(named) and all(
        not cell or (word and cell not in column) for cell, word, column in zip(first, is_word, below, strict=True)
    )


def _distinct(names: list[str], notes: list[str]) -> list[str]:
    """Names of their own for columns that share one, or have none."""
    found: list[str] = []
    for i, name in enumerate(names, 1):
        own, n = name or f"column{i}", 2
        while own in found or (own != name and own in names):
            own, n = f"{name or 'column'}.{n}", n + 1
        found.append(own)
    changed = [f"{own} (was {name!r})" for own, name in zip(found, names, strict=True) if own != name]
    if changed:
        notes.append(f"columns that have no name of their own are called {listed(changed)}")
    return found
