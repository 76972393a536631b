"""A test of a trained learner, and what of it the page shows: the same from Python and from ``quickstudy train``."""

from typing import Any

from quickstudy.core.learner import MetaLearner
from quickstudy.report.examples import save_examples
from quickstudy.report.pictured import make_pictures
from quickstudy.training.evaluation import evaluate
from quickstudy.training.results import Result
from quickstudy.training.runs import Run


def test(run: Run, learner: MetaLearner, tasks: Any, *, checkpoint: int, split: str | None, **options: Any) -> Result:
    """``evaluate``, and ``keep_test`` of what it finds (see ``Run.test``)."""
    result = evaluate(learner, tasks, **options)
    called: str = split or getattr(tasks, "split", "test")
    keep_test(run, learner, tasks, result, checkpoint=checkpoint, split=called, steps=options.get("steps"))
    return result


def keep_test(
    run: Run,
    learner: MetaLearner,
    tasks: Any,
    result: Result | None,
    *,
    checkpoint: int,
    split: str = "test",
    steps: int | None = None,
) -> None:
    """Keep a result in a run's folder, and what the page draws of a few of the tasks; in memory, nothing is kept.

    Args:
        run: whose learner was tested.
        learner: with the weights that were tested.
        tasks: that it was tested on.
        result: of the test (None: it has been kept before).
        checkpoint: the outer step of the weights.
        split: of the tasks.
        steps: inner steps of the test (None: the learner's own).

    Raises:
        RunError: the folder cannot be written.
    """
    if run.path is None:
        return
    if result is not None:
        run.add_result({**result.to_json(), "split": split, "checkpoint": checkpoint})
    save_examples(run, learner, tasks, steps=steps)
    make_pictures(run, learner, tasks)
