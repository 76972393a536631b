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
from jaxtyping import Float, Int
from torch import Tensor

from quickstudy.seeding import generator
from quickstudy.tasks._checks import SPLITS, at_least, one_of
from quickstudy.tasks.batch import Examples, TaskBatch

WIDTH = 24  # nodes of a layer
CAUSES = 12
LAYERS = 3
WAYS_IN = [0.15, 0.2, 0.5, 0.15]  # how often a label is bins, largest, cause, rules
DEPTHS = [0.35, 0.3, 0.2, 0.15]  # how often a task has 0, 1, ... layers
ROWS = 100  # of the support, at most, where shots are drawn
SPARE = 32  # rows drawn beyond those needed, so that the support can be chosen by class


class TabularPrior:
    """Random tables to classify, from random structural models: no data needed.

    Rows are ``[features]``; a table with fewer columns is filled up with zeros.

    Args:
        split: names the stream of tasks; the distribution is the same in each.
        way: classes per task, at most; each batch draws its own number from 2 to way.
        shot: support rows per class, at most; each batch draws its own number. Half of the tasks have as many rows of
            each class as there are to be had, in the other half classes are as frequent as they happen to be, one row
            of each at least.
        query: query rows per task.
        features: columns, at most; each task draws its own number.
        fixed: every batch has just way and shot, as for a test that is to be compared with others.

    Raises:
        UsageError: an unknown split, way below 2, features below 2, shot or query below 1.

    >>> batch = TabularPrior(way=3, shot=4, query=6, fixed=True).sample(8, seed=0)
    >>> batch.support.x.shape, batch.query.y.shape
    (torch.Size([8, 12, 64]), torch.Size([8, 6]))
    """

    kind: ClassVar[str] = "classification"
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

    def describe(self) -> str:
        """One line for people."""
        most = "" if self.fixed else "up to "
        return (
            f"synthetic tables {self.split}, {most}{self.way}-way {self.shot}-shot, {self.query} queries per task, "
            f"up to {self.features} columns"
        )

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
        nodes = _nodes(classes, way, way_in == 2, rng)
        x, used = _columns(nodes, self.features, rng)
        y = _labels(nodes, x, used, classes, way, way_in, rng)
        y = _every_class(y, way)
        order = _support_first(y, way, rng)[:, : support + self.query]
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


def _nodes(
    classes: Int[Tensor, "tasks rows"], way: int, moved: Tensor, rng: torch.Generator
) -> Float[Tensor, "tasks rows nodes"]:
    """All nodes of each task's structural model, each of mean 0 and spread 1; where ``moved``, by class."""
    tasks, rows = classes.shape

    def rand(*size: int) -> Tensor:
        return torch.rand(size, generator=rng)

    def randn(*size: int) -> Tensor:
        return torch.randn(size, generator=rng)

    z = randn(tasks, rows, CAUSES)
    kinds = torch.randint(6, (tasks, 1, CAUSES), generator=rng)
    z = torch.where(kinds == 1, rand(tasks, rows, CAUSES) * 3.4 - 1.7, z)
    z = torch.where(kinds == 2, z * z.abs(), z)
    z = torch.where(kinds == 3, z * 0.3 + (rand(tasks, rows, CAUSES) < rand(tasks, 1, CAUSES)).float() * 2, z)
    # Clusters: up to three per class, in some of the causes, more or less far apart.
    lumps = 3
    centres = randn(tasks, way * lumps, CAUSES) * (rand(tasks, 1, CAUSES) < 0.3 + 0.7 * rand(tasks, 1, 1))
    single = (rand(tasks, 1, 1, 1) < 0.75).expand(-1, way, lumps, CAUSES)
    by_class = centres.view(tasks, way, lumps, CAUSES)
    centres = torch.where(single, by_class[:, :, :1], by_class).flatten(1, 2)
    member = classes * lumps + torch.randint(lumps, (tasks, rows), generator=rng)
    apart = 1 + 4 * rand(tasks, 1, 1)
    shift = centres.gather(1, member[..., None].expand(-1, -1, CAUSES)) * apart
    z = torch.where(moved[:, None, None], z * (0.3 + 0.7 * rand(tasks, 1, CAUSES)) + shift, z)
    causes = torch.arange(CAUSES) < torch.randint(1, CAUSES + 1, (tasks, 1, 1), generator=rng).clamp(min=2)
    z = _standard(z) * causes
    depth = torch.multinomial(torch.tensor(DEPTHS), tasks, replacement=True, generator=rng)[:, None, None]
    found: list[Tensor] = []
    h = z
    for layer in range(LAYERS):
        dense = rand(tasks, 1, 1) * 0.8 + 0.1
        weights = randn(tasks, h.shape[-1], WIDTH) * (rand(tasks, h.shape[-1], WIDTH) < dense)
        out = h @ weights
        out = out / out.std(1, keepdim=True).clamp(min=1e-3) + randn(tasks, 1, WIDTH) * 0.5
        bent = _activate(out, torch.randint(7, (tasks, 1, WIDTH if layer % 2 else 1), generator=rng))
        # A plain task has layers, too, but they only mix.
        h = torch.where(depth > layer, bent, out if layer == 0 else h)
        h = h + randn(*h.shape) * (10 ** (-2.5 + 1.7 * rand(tasks, 1, 1)))
        h = _standard(h)
        found.append(h)
    return torch.cat([z, *found], -1)


def _activate(x: Tensor, kind: Tensor) -> Tensor:
    choices = [x, x.relu(), x.tanh(), torch.sin(2 * x), (x > 0).float(), x.abs(), x * x]
    out = x
    for k, choice in enumerate(choices):
        out = torch.where(kind == k, choice, out)
    return out


def _columns(
    nodes: Float[Tensor, "tasks rows nodes"], features: int, rng: torch.Generator
) -> tuple[Float[Tensor, "tasks rows features"], Int[Tensor, " tasks"]]:
    """Some of the nodes as columns, bent and noisy, the rest zeros; and how many there are."""
    tasks, rows, n = nodes.shape
    most = min(features, n - 1)
    used = torch.exp(math.log(3) + torch.rand(tasks, generator=rng) * (math.log(most + 1) - math.log(3))).long()
    # The nodes of some layers are likelier than others.
    liking = torch.rand(tasks, n, generator=rng) + torch.rand(tasks, 1 + LAYERS, generator=rng).repeat_interleave(
        torch.tensor([CAUSES] + [WIDTH] * LAYERS), 1
    )
    empty = nodes.std(1) < 1e-6
    chosen = (liking - 9 * empty).argsort(1, descending=True)[:, :most]
    x = nodes.gather(2, chosen[:, None].expand(-1, rows, -1))
    bend = torch.rand(tasks, 1, most, generator=rng) * (1 + 2 * torch.rand(tasks, 1, 1, generator=rng))
    x = torch.where(bend < 0.08, x.clamp(max=4).exp(), x)
    x = torch.where((bend > 0.08) & (bend < 0.16), (x * 1.5).round(), x)
    x = torch.where((bend > 0.16) & (bend < 0.22), x * x.abs(), x)
    share = 0.5 * torch.rand(tasks, 1, 1, generator=rng) * (torch.rand(tasks, 1, 1, generator=rng) < 0.5)
    noise = torch.randn(tasks, rows, most, generator=rng)
    x = torch.where(torch.rand(tasks, 1, most, generator=rng) < share, noise, x)
    x = x + noise * (torch.rand(tasks, 1, 1, generator=rng) < 0.5) * 0.5 * torch.rand(tasks, 1, 1, generator=rng)
    x = _standard(x) * (torch.arange(most) < used[:, None, None])
    return torch.nn.functional.pad(x, (0, features - most)), used


def _labels(
    nodes: Tensor, x: Tensor, used: Tensor, classes: Tensor, way: int, way_in: Tensor, rng: torch.Generator
) -> Int[Tensor, "tasks rows"]:
    tasks, rows, n = nodes.shape
    # bins: quantiles whose sizes are random, named at random
    node = CAUSES + torch.randint(n - CAUSES, (tasks,), generator=rng)
    value = nodes[torch.arange(tasks), :, node] + 1e-3 * torch.randn(tasks, rows, generator=rng)
    rank = value.argsort(1).argsort(1) / rows
    sizes = 0.3 + torch.rand(tasks, way, generator=rng)
    edges = (sizes.cumsum(1) / sizes.sum(1, keepdim=True))[:, :-1]
    names = torch.rand(tasks, way, generator=rng).argsort(1)
    bins = names.gather(1, (rank[..., None] > edges[:, None]).sum(-1))
    # largest: of as many nodes as there are classes
    some = CAUSES + torch.rand(tasks, n - CAUSES, generator=rng).argsort(1)[:, :way]
    scores = _standard(nodes.gather(2, some[:, None].expand(-1, rows, -1)))
    largest = (scores + 1e-3 * torch.randn(tasks, rows, way, generator=rng)).argmax(-1)
    # rules: up to four comparisons, and a table of what they mean
    columns = (torch.rand(tasks, 4, generator=rng) * used[:, None]).long()
    compared = x.gather(2, columns[:, None].expand(-1, rows, -1))
    bits = compared > 0.7 * torch.randn(tasks, 1, 4, generator=rng)
    how_many = 1 + torch.randint(4, (tasks, 1, 1), generator=rng).clamp(min=(way - 1).bit_length() - 1)
    bits = bits & (torch.arange(4) < how_many)
    cell = (bits.long() * torch.tensor([1, 2, 4, 8])).sum(-1)
    meaning = torch.randint(way, (tasks, 16), generator=rng)
    meaning[:, :way] = torch.rand(tasks, way, generator=rng).argsort(1)
    rules = meaning.gather(1, cell)
    y = torch.stack([bins, largest, classes, rules]).gather(0, way_in[None, :, None].expand(1, -1, rows))[0]
    wrong = 0.1 * torch.rand(tasks, 1, generator=rng) * (torch.rand(tasks, 1, generator=rng) < 0.5)
    other = torch.randint(way, (tasks, rows), generator=rng)
    return torch.where(torch.rand(tasks, rows, generator=rng) < wrong, other, y)


def _every_class(y: Int[Tensor, "tasks rows"], way: int) -> Int[Tensor, "tasks rows"]:
    """A class that no row has gets a row of the most frequent one."""
    each = torch.arange(len(y))
    for label in range(way):
        counts = torch.nn.functional.one_hot(y, way).sum(1)
        row = (y == counts.argmax(1, keepdim=True)).float().argmax(1)
        y = y.clone()
        y[each, row] = torch.where(counts[:, label] == 0, label, y[each, row])
    return y


def _support_first(y: Int[Tensor, "tasks rows"], way: int, rng: torch.Generator) -> Int[Tensor, "tasks rows"]:
    """An order of the rows: one of each class, then by turns (half of the tasks) or as it comes."""
    tasks, rows = y.shape
    order = torch.rand(tasks, rows, generator=rng).argsort(1)
    member = torch.nn.functional.one_hot(y.gather(1, order), way)
    turn = ((member.cumsum(1) - 1) * member).sum(-1)
    balanced = torch.rand(tasks, 1, generator=rng) < 0.5
    turn = torch.where(balanced, turn, turn.clamp(max=1))
    key = turn + torch.rand(tasks, rows, generator=rng) * 0.5
    return order.gather(1, key.argsort(1))


def _standard(x: Tensor) -> Tensor:
    return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True).clamp(min=1e-6)
