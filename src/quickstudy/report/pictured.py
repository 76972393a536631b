"""A run's pictures: made the same way by ``quickstudy train``, ``evaluate`` and ``report``."""

from collections.abc import Sequence
from typing import Any

from quickstudy import registry
from quickstudy.core.draws import seeded
from quickstudy.core.learner import MetaLearner
from quickstudy.core.offline import offline
from quickstudy.core.picture import Picture, load_pictures, save_pictures
from quickstudy.core.seeding import fold
from quickstudy.core.stateless import in_evaluation
from quickstudy.report.pictures import draw, is_drawn
from quickstudy.training.runs import Run

TASKS = 3
"""How many are drawn; those of ``save_examples``."""


def make_pictures(run: Run, learner: MetaLearner, tasks: Any) -> Sequence[Picture]:
    """Draw what a learner does with a few tasks, and keep it in the run's folder, in place of what was there.

    The same arguments give the same pictures; torch's global generator is left as it was.

    Args:
        run: without a folder, nothing is kept.
        learner: of any type; of one that nobody draws (``quickstudy.report.pictures.draw``) there are no pictures.
        tasks: where the tasks come from; the test split, as a rule.

    Raises:
        RunError: the folder cannot be written.
    """
    if not is_drawn(type(learner)):
        return []
    parameter = next(learner.parameters(), None)
    batch = tasks.sample(TASKS, fold(0, "examples"))
    with seeded(fold(0, "pictures"), None if parameter is None else parameter.device):
        pictures = draw(in_evaluation(learner), batch if parameter is None else batch.to(parameter.device))
    if run.path is not None:
        save_pictures(run.path, pictures)
    return pictures


def pictures_of(run: Run) -> tuple[Sequence[Picture], str]:
    """The pictures in a run's folder, made now where there are none; and why there are none, where there should be."""
    if run.path is None:
        return [], ""
    try:
        found = load_pictures(run.path)
        if found or not _may_be_drawn(run.config.get("learner")):
            return found, ""
        test: dict[str, Any] = run.config.get("test") or {}
        asked = {"split": "test", "way": test.get("test_way"), "query": test.get("test_query")}
        with offline():
            tasks = run.tasks(**{name: value for name, value in asked.items() if value is not None})
            return make_pictures(run, run.learner(), tasks), ""
    except Exception as error:  # whatever else a run holds, its page shows
        return [], f"{error}" or type(error).__name__


def _may_be_drawn(description: Any) -> bool:
    """Whether there is something to draw of a learner that a run describes: yes, where its class is not known."""
    if not isinstance(description, dict):
        return False
    return "opaque" in description or is_drawn(registry.load(*registry.named_in(description)))
