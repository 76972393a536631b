"""The parts of a random table, for ``TabularPrior``: hidden nodes, columns, labels, and which rows are the support."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

WIDTH = 24  # nodes of a layer
CAUSES = 12
LAYERS = 3
DEPTHS = [0.35, 0.3, 0.2, 0.15]  # how often a task has 0, 1, ... layers


def hidden_nodes(
    classes: Int[Tensor, "tasks rows"], way: int, moved: Tensor, rng: torch.Generator
) -> Float[Tensor, "tasks rows nodes"]:
    """All nodes of each task's structural model, each of mean 0 and standard deviation 1; where ``moved``, by class."""
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


def columns_of(
    nodes: Float[Tensor, "tasks rows nodes"], features: int, rng: torch.Generator
) -> tuple[Float[Tensor, "tasks rows features"], Int[Tensor, " tasks"]]:
    """Some of the nodes as columns, bent and noisy, the rest zeros; and how many there are."""
    tasks, rows, n = nodes.shape
    most = min(features, n - 1)
    used = torch.exp(math.log(3) + torch.rand(tasks, generator=rng) * (math.log(most + 1) - math.log(3))).long()
    used = used.clamp(max=most)
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


def labels_of(
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


def every_class(y: Int[Tensor, "tasks rows"], way: int) -> Int[Tensor, "tasks rows"]:
    """A class that no row has gets a row of the most frequent one."""
    each = torch.arange(len(y))
    for label in range(way):
        counts = torch.nn.functional.one_hot(y, way).sum(1)
        row = (y == counts.argmax(1, keepdim=True)).float().argmax(1)
        y = y.clone()
        y[each, row] = torch.where(counts[:, label] == 0, label, y[each, row])
    return y


def support_first(y: Int[Tensor, "tasks rows"], way: int, rng: torch.Generator) -> Int[Tensor, "tasks rows"]:
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
