"""A recipe: what a learner is trained with, on which tasks, by preset. Each family has a file of them beside this one.

A preset is ``demo`` (minutes), ``quick`` (what two CPU cores do well in an hour) or ``paper`` (the paper's own setup,
where there is one).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from quickstudy.core.errors import UsageError
from quickstudy.core.words import meant

PRESETS = ("demo", "quick", "paper")
PHOTOS = ("cifar-fs", "fc100", "mini-imagenet", "tiered-imagenet", "cub")  # of 60 classes for training or more
MANY_CLASSES = ("omniglot", "glyphs", *PHOTOS)  # tasks that are sure to have classes (a folder may not)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a recipe is asked for.

    Args:
        preset: ``demo``, ``quick`` or ``paper``.
        tasks: what is trained on, by name.
        kind: of these tasks: ``classification``, ``regression``, ...
        way: classes per task, where there are classes.
        shot: support examples per class.
        steps: outer steps that were asked for (None: as many as the preset has).
        room: how many examples of a class there are at least, where that is known.

    Raises:
        UsageError: an unknown preset.
    """

    preset: str
    tasks: str
    kind: str
    way: int = 5
    shot: int = 1
    steps: int | None = None
    room: int | None = None

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"there is no preset {self.preset!r}: {', '.join(PRESETS)}.{meant(self.preset, PRESETS)}")

    @property
    def paper(self) -> bool:
        """Whether the paper's own setup is asked for."""
        return self.preset == "paper"

    @property
    def photos(self) -> bool:
        """Whether the tasks are of photographs, in colour."""
        return self.tasks in PHOTOS

    @property
    def channels(self) -> int:
        """Of a convolutional network: 32 where time is short, unless they are photographs."""
        return 64 if self.paper or self.photos else 32

    @property
    def regression(self) -> bool:
        """Whether the tasks are of values, not classes."""
        return self.kind == "regression"

    def pick(self, *, demo: T, quick: T, paper: T) -> T:
        """What the preset says."""
        return {"demo": demo, "quick": quick, "paper": paper}[self.preset]

    def train_way(self, many: int) -> int | None:
        """Train on ``many`` classes a task (None: on as many as in the test), where the tasks are sure to have them."""
        return max(many, self.way) if self.tasks in MANY_CLASSES else None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a learner is trained with. What is not said is left to the classes' own defaults.

    Args:
        learner: options of the learner.
        tasks: options of the tasks.
        net: the network that suits, by name (None: the tasks' usual one).
        net_options: options of networks, by the network's name: another network takes none of them.
        training: options of ``quickstudy.train``; ``steps`` at least.
        train_way: classes per training task (None: as in validation and test).
        test_tasks: tasks of the final test.
        test_steps: inner steps per task in the final test only (None: as in validation).
        test_query: query examples per class in the final test (None: as in training).
    """

    learner: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tasks: Mapping[str, Any] = field(default_factory=dict[str, Any])
    net: str | None = None
    net_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    training: Mapping[str, Any]
    train_way: int | None = None
    test_tasks: int = 1000
    test_steps: int | None = None
    test_query: int | None = None

    def but(self, **changes: Any) -> "Recipe":
        """This recipe with some fields changed; mappings are added to.

        >>> Recipe(learner={"inner_lr": 0.4}, training={"steps": 10}).but(learner={"inner_steps": 5}).learner
        {'inner_lr': 0.4, 'inner_steps': 5}
        """
        merged = {n: {**getattr(self, n), **v} if isinstance(v, Mapping) else v for n, v in changes.items()}
        return replace(self, **merged)


MakeRecipe: TypeAlias = Callable[[Setting], Recipe]


def filters(count: int) -> dict[str, dict[str, Any]]:
    """Options of the convolutional networks: so many channels."""
    return {"conv4": {"filters": count}, "cell": {"filters": count}}
