import pytest

from quickstudy.core import checks
from quickstudy.core.errors import UsageError


def test_each_check_names_the_option_and_what_was_expected() -> None:
    checks.at_least(1, way=1)
    checks.one_of(("none", "episode"), rotate="none")
    checks.interval(phase=(0.0, 0.0))
    with pytest.raises(UsageError, match="shot must be an integer of at least 1, got shot=0"):
        checks.at_least(1, way=5, shot=0)
    with pytest.raises(UsageError, match="rotate must be one of 'none', 'episode', got rotate='sometimes'"):
        checks.one_of(("none", "episode"), rotate="sometimes")
    with pytest.raises(UsageError, match="phase must be two finite numbers"):
        checks.interval(phase=(1.0, 0.0))


def test_an_episode_shape_is_written_one_way() -> None:
    assert checks.shape_text(5, 1, 15) == "5-way 1-shot, 15 queries per class"
    assert checks.shape_text(20, 5, 1) == "20-way 5-shot, 1 query per class"
