"""A preset from Python: the learner, the tasks and the options of training that ``quickstudy train`` would set up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from quickstudy.core.learner import MetaLearner
from quickstudy.recipes.choice import Choice
from quickstudy.recipes.options import held_out, split_options


@dataclass(frozen=True)
class Preset:
    """What to train, on what and how. Unpacks as ``learner, tasks, training``.

    Args:
        learner: with its initial weights.
        tasks: the training tasks.
        training: for ``quickstudy.train(learner, tasks, **training)``, validation tasks and seed among them.
        test_tasks: tasks of the test split.
        test: for ``quickstudy.evaluate(learner, test_tasks, **test)``.
    """

    learner: MetaLearner
    tasks: Any
    training: dict[str, Any]
    test_tasks: Any
    test: dict[str, Any]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.learner, self.tasks, self.training))


def preset(
    learner: str,
    *,
    tasks: str | None = None,
    way: int | None = None,
    shot: int | None = None,
    preset: str = "quick",
    net: str | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Preset:
    """What ``quickstudy train LEARNER`` trains, and how, to the same numbers.

    >>> import quickstudy as qs
    >>> learner, tasks, training = qs.preset("protonet", tasks="glyphs", way=5, shot=1)
    >>> tasks.way, training["steps"], training["validation"].way
    (20, 3000, 5)

    Args:
        learner: by name, as tasks and net.
        tasks: what to train on (None: what the learner is usually trained on).
        way: classes per task (None: the preset's), where there are classes.
        shot: support examples per class (None: the preset's).
        preset: ``demo``, ``quick`` or ``paper``.
        net: the network of a learner that takes one (None: what suits).
        seed: of the initial weights, the tasks and dropout.
        options: any other option of the learner, the tasks, the net, ``quickstudy.train`` or the test, by name, as on
            the command line: ``{"filters": 8, "steps": 100}``.

    Raises:
        UsageError: an unknown name or option, tasks that the learner cannot learn, or an option that must be given.
    """
    choice = Choice.of(learner, tasks, net, preset)
    shape = {name: value for name, value in (("way", way), ("shot", shot)) if value is not None}
    given = {**(options or {}), **shape, "seed": seed}
    # A preset depends on them; a range (of the shots of curves) does not matter to it.
    whole = {name: given[name] for name in ("way", "shot") if isinstance(given.get(name), int)}
    values = choice.options(given, **whole)
    built, training_tasks = choice.build(values)
    training, test = split_options(values)
    validation, test_tasks = held_out(training_tasks, test)
    usual = choice.defaults(**whole, **choice.known(given))
    said = {name: training[name] for name in training if name in usual or name in given}
    evaluation = {"n_tasks": test["test_tasks"], "steps": test["test_steps"]}
    return Preset(built, training_tasks, {**said, "validation": validation}, test_tasks, evaluation)
