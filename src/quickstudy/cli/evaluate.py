"""``quickstudy evaluate``."""

from json import dumps

from tyro.conf import Positional

from quickstudy.cli.terminal import result_text, say, tell
from quickstudy.cli.trained import threads, trained_learner
from quickstudy.core.errors import RunError
from quickstudy.report import make_pictures
from quickstudy.training.evaluation import evaluate as score
from quickstudy.training.runs import Run


def evaluate(
    run: Positional[str],
    *,
    way: int | None = None,
    shot: int | None = None,
    query: int | None = None,
    steps: int | None = None,
    n_tasks: int = 1000,
    seed: int = 0,
    split: str = "test",
    checkpoint: str = "best",
    device: str = "auto",
    workers: int | None = None,
    json: bool = False,
) -> None:
    """Test a trained run on unseen tasks, of another shape if wanted.

    The result is added to the run's results.jsonl.

    Args:
        run: the run folder.
        way: classes per task (None: as in the run's own test).
        shot: support examples per class (None: as in the run's own test).
        query: query examples per class (None: as in the run's own test).
        steps: inner steps (None: as in the run's own test).
        n_tasks: tasks to test on, at least 2.
        seed: of the tasks.
        split: train, val, trainval or test.
        checkpoint: best, last, or an outer step.
        device: auto (a GPU if there is one), cpu, cuda, ...
        workers: threads on a CPU (None: as many as torch may use).
        json: print the result as JSON.
    """
    found = Run.open(run)
    test = found.config.get("test") or {}
    query = test.get("test_query") if query is None else query
    way = test.get("test_way") if way is None else way
    steps = test.get("test_steps") if steps is None else steps
    asked = {"split": split, "way": way, "shot": shot, "query": query}
    tasks = found.tasks(**{name: value for name, value in asked.items() if value is not None})
    learner, step = trained_learner(found, checkpoint, device)
    with threads(workers):
        result = score(learner, tasks, n_tasks=n_tasks, seed=seed, steps=steps)
    say(dumps(result.to_json(), indent=2) if json else result_text(result))  # first: the folder may be read-only
    try:
        found.add_result({**result.to_json(), "split": split, "checkpoint": step})
        make_pictures(found, learner, tasks)
    except RunError as error:
        tell(f"the result above, or its pictures, could not be saved: {error}")
