"""What people read: no unit that overflows where a number is rounded."""

import pytest

from quickstudy.core.words import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (9.4, "9.4 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3599.7, "1 h 00 min"),
        (90061.0, "25 h 01 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
