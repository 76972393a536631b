"""Texts that stand for numbers or times, however they were written: a whole column is read in one way."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.apply.tables.table import Column

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-", "--", ".", "#n/a", "#na", "<na>", "nat"))
"""What stands for a gap, in small letters."""
FEW = 0.05
"""The share of a column that may be words (``unknown``) among numbers or dates; they count as gaps."""
_AROUND = re.compile(r"^[$€£¥]\s*|\s*[%$€£¥]$")
_NUMBER = {
    "point": re.compile(r"[-+]?(\d{1,3}([,'’\s]\d{3})+(\.\d+)?|(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)"),
    "comma": re.compile(r"[-+]?(\d{1,3}([.'’\s]\d{3})+(,\d+)?|(\d+,?\d*|,\d+)([eE][-+]?\d+)?)"),
}
"""By what stands before the decimals; digits may be grouped by three."""
_CODE = re.compile(r"0\d+")
_DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d %b %Y"),
    *("%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%b-%y", "%Y-%m", "%b %Y"),
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMATS = ("iso", *(day + time for time in _TIMES for day in _DAYS), "%H:%M", "%H:%M:%S")
"""Of dates, those tried first first: where day and month may be either, the day comes first."""
_MAY_BE_DATE = re.compile(r"(?=.*\d)(?=.*[-/.: ,])[\w\-/.:, +]{4,40}")


def is_missing(text: str | None) -> bool:
    """Whether a cell is a gap."""
    return text is None or text.strip().lower() in MISSING


def number_style(texts: Column) -> str | None:
    """How the numbers of a column are written: ``point`` or ``comma``; None: it is not of numbers.

    Percents and currencies are numbers; codes with zeros in front (postcodes) are not.

    >>> [number_style(np.array(c, object)) for c in (["1.5", "", "-2e3"], ["1,5", "1.200,25"], ["01067", "80331"])]
    ['point', 'comma', None]
    """
    if any(text is not None and _CODE.fullmatch(text.strip()) for text in texts):
        return None
    return next((s for s in _NUMBER if _nearly_all(texts, lambda t, s=s: _number(t, s))), None)


def numbers(texts: Column, style: str) -> NDArray[np.float64]:
    """The numbers of a column, nan where a cell is none.

    >>> numbers(np.array(["1,5", "?", "1.200,25", "12%"], object), "comma").tolist()
    [1.5, nan, 1200.25, 12.0]
    """
    found = _each(texts, lambda text: _number(text, style))
    return np.array([np.nan if value is None else value for value in found], np.float64)


def date_format(texts: Column) -> str | None:
    """How the dates or times of a column are written (for ``strptime``, or ``iso``); None: it is not of dates.

    >>> date_format(np.array(["31.01.2024", "", "01.02.2024"], object))
    '%d.%m.%Y'
    """
    some = [text.strip() for text in texts if not is_missing(text)][:20]
    if sum(_MAY_BE_DATE.fullmatch(text) is not None for text in some) < max(1, len(some) - 3):
        return None
    return next((form for form in FORMATS if _nearly_all(texts, lambda text, form=form: _moment(text, form))), None)


def dates(texts: Column, form: str) -> Column:
    """The moments of a column (of UTC, where it says a zone), NaT where a cell is none."""
    found = _each(texts, lambda text: _moment(text, form))
    return np.array([np.datetime64("NaT") if at is None else np.datetime64(at) for at in found], "datetime64[us]")


def _each(texts: Column, read: Callable[[str], Any]) -> list[Any]:
    """Each cell read, equal ones once; None: a gap, or what cannot be read."""
    known = {text: None if is_missing(text) else read(text) for text in {*texts}}
    return [known[text] for text in texts]


def _nearly_all(texts: Column, read: Callable[[str], Any]) -> bool:
    """Whether all cells can be read but gaps and a few words, at most three and of few cells."""
    words, known = dict[str, int](), dict[str, bool]()
    for text in texts:
        if is_missing(text):
            continue
        if text not in known:
            known[text] = read(text) is not None
        if not known[text]:
            words[text] = words.get(text, 0) + 1
            if len(words) > 3:
                return False
    return any(known.values()) and sum(words.values()) <= FEW * len(texts)


def _number(text: str, style: str) -> float | None:
    text = _AROUND.sub("", text.strip()).replace("\u2212", "-")
    if not _NUMBER[style].fullmatch(text):
        return None
    point, group = (".", ",") if style == "point" else (",", ".")
    value = float(re.sub(rf"[{group}'’\s]", "", text).replace(point, "."))
    return value if abs(value) < np.inf else None


def _moment(text: str, form: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.strip()) if form == "iso" else datetime.strptime(text.strip(), form)
    except ValueError:
        return None
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
