"""Synthetic tables: what a classifier of real tables can be meta-trained on, without any real table.

Every task is a table of its own. A random structural model makes it:

1. *causes*: a few hidden numbers per row, normal, uniform, heavy-tailed or in lumps;
2. *nodes*: the causes go through up to three random sparse layers, each with its own activation (identity, ReLU, tanh,
   sine, step, absolute value, square) and noise at every node;
3. *columns*: some of all nodes, at random; a part of them is bent (exponential, rounded to a few values, signed square)
   or replaced by noise that has nothing to do with the label;
4. *label*, one of four ways, drawn per task:
   ``bins``: one node, cut at random quantiles, the pieces named at random;
   ``largest``: the largest of as many nodes as there are classes (logistic regression's kind);
   ``cause``: the class is drawn first and moves the causes (clusters, one to three per class);
   ``rules``: a few columns are compared with thresholds, and a random table says the class (a decision tree's kind);
5. some labels are changed at random.

A task with no layers is a plain one: Gaussian clusters, a linear or a rule-based table of normal columns.
All tasks of a batch have the same number of classes and of support rows, both drawn per batch.

The idea of random structural models as a prior for tables follows Hollmann, Müller, Eggensperger, Hutter: TabPFN: A
transformer that solves small tabular classification problems in a second. ICLR 2023. The distribution here is our own
and much smaller.
"""

import math
from typing import ClassVar

import torch

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.checks import SPLITS, at_least, one_of
from quickstudy.core.errors import UsageError
from quickstudy.core.purity import pure
from quickstudy.core.references import Judged, Reference, chance
from quickstudy.core.seeding import generator
from quickstudy.core.shown import shown
from quickstudy.tasks.functions._random_tables import columns_of, every_class, hidden_nodes, labels_of, support_first

WAYS_IN = [0.15, 0.2, 0.5, 0.15]  # how often a label is bins, largest, cause, rules
MOST_WAY = 16
ROWS = 100  # of the support, at most, where shots are drawn
SPARE = 32  # rows drawn beyond those needed, so that the support can be chosen by class


class TabularPrior:
    """Random tables to classify, from random structural models: no data needed.

    Rows are ``[features]``; a table with fewer columns is filled up with zeros.

    Args:
        split: names the stream of tasks; the distribution is the same in each.
        way: classes per task, at most, 2 to 16; each batch draws its own number from 2 to way.
        shot: support rows per class, at most; each batch draws its own number. Half of the tasks have as many rows of
            each class as there are to be had, in the other half classes are as frequent as they happen to be, one row
            of each at least.
        query: query rows per task.
        features: columns, at most; each task draws its own number.
        fixed: every batch has just way and shot, as for a test that is to be compared with others.

    Raises:
        UsageError: an unknown split, way not from 2 to 16, features below 2, shot or query below 1.

    >>> batch = TabularPrior(way=3, shot=4, query=6, fixed=True).sample(8, seed=0)
    >>> batch.support.x.shape, batch.query.y.shape
    (torch.Size([8, 12, 64]), torch.Size([8, 6]))
    """

    kind: ClassVar[str] = "classification"
    called: ClassVar[str] = "synthetic tables"
    default_net: ClassVar[str] = "mlp"

    def __init__(
        self,
        *,
        split: str = "train",
        way: int = 10,
        shot: int = 20,
        query: int = 32,
        features: int = 64,
        fixed: bool = False,
    ) -> None:
        one_of(SPLITS, split=split)
        at_least(2, way=way, features=features)
        at_least(1, shot=shot, query=query)
        if way > MOST_WAY:
            raise UsageError(f"way must be at most {MOST_WAY}, for rules of four comparisons, got way={way}.")
        self.split = split
        self.way = way
        self.shot = shot
        self.query = query
        self.features = features
        self.fixed = fixed

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example: ``(features,)``."""
        return (self.features,)

    @property
    def outputs(self) -> int:
        """Outputs a model needs: the way."""
        return self.way

    @property
    def shares(self) -> tuple[str, ...]:
        """What the tasks of one batch have in common: classes and shots, where they are not fixed."""
        return () if self.fixed else ("way", "shot")

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        most = "" if self.fixed else "up to "
        return (
            f"synthetic tables {self.split}, {most}{self.way}-way {self.shot}-shot, {self.query} queries per task, "
            f"up to {self.features} columns"
        )

    def references(self, judged: Judged) -> tuple[Reference, ...]:
        """Guessing: among the way, or among two classes in a quarter of the batches and any number in the others."""
        if judged.metric != "accuracy":
            return ()
        every = chance(*range(2, self.way + 1)).value
        return (chance(self.way) if self.fixed else Reference("chance", 0.25 / 2 + 0.75 * every),)

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` tasks; a pure function of its arguments.

        Returns:
            ``x`` float32 ``[tasks, rows, features]``, ``y`` int64 ``[tasks, rows]``.
        """
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "tabular", self.split)
        way, shot = (self.way, self.shot) if self.fixed else self._shape(rng)
        support = way * shot
        rows = support + self.query + SPARE
        way_in = torch.multinomial(torch.tensor(WAYS_IN), tasks, replacement=True, generator=rng)
        classes = torch.randint(way, (tasks, rows), generator=rng)
        nodes = hidden_nodes(classes, way, way_in == 2, rng)
        x, used = columns_of(nodes, self.features, rng)
        y = labels_of(nodes, x, used, classes, way, way_in, rng)
        y = every_class(y, way)
        order = support_first(y, way, rng)[:, : support + self.query]
        x = x.gather(1, order[..., None].expand(-1, -1, self.features))
        y = y.gather(1, order)
        return TaskBatch(
            Examples(x[:, :support].contiguous(), y[:, :support].contiguous()),
            Examples(x[:, support:].contiguous(), y[:, support:].contiguous()),
        )

    def _shape(self, rng: torch.Generator) -> tuple[int, int]:
        """Two classes often, else any number; shots log-uniformly."""
        draws = torch.rand(3, generator=rng).tolist()
        way = 2 if draws[0] < 0.25 else 2 + int(draws[1] * (self.way - 1))
        most = min(self.shot, max(1, ROWS // way))
        return way, int(math.exp(draws[2] * math.log(most + 1)))
