"""How numbers and texts are put for people, wherever people read them."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal obeys: escapes, carriage returns, what turns the direction of writing."""


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(8.21), duration(59.6), duration(252.0), duration(7380.0)
    ('8.2 s', '1 min 00 s', '4 min 12 s', '2 h 03 min')
    """
    whole, minutes = round(seconds), round(seconds / 60)
    if whole < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{minutes // 60} h {minutes % 60:02d} min"


def meant(name: str, names: Iterable[str]) -> str:
    """A question to put behind a name that there is not; empty where none is like it.

    >>> meant("mamel", ["maml", "reptile"]), meant("chess", ["maml"])
    (" Did you mean 'maml'?", '')
    """
    known = {each.lower(): each for each in names}
    close = get_close_matches(name.lower(), known, 1, 0.6)
    return f" Did you mean {known[close[0]]!r}?" if close else ""


def plain(text: str) -> str:
    r"""A text that may be anybody's, for a terminal: what the terminal would obey is written out; lines and tabs stay.

    >>> print(plain("a \x1b[31mred name\r"))
    a \x1b[31mred name\r
    """
    return _COMMANDS.sub(lambda found: repr(found[0])[1:-1], text)
