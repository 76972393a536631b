"""Search for a cell of a network on characters drawn on the fly, and compare it with random ones of the same size.

    python examples/cells.py

The search learns weights and operations together. Then networks of the found cell, of two random cells and Conv4, all
with about as many parameters, are meta-trained for the same number of steps.
"""

import argparse

import torch

import quickstudy as qs
from quickstudy.nets import CellNet, Conv4, Genotype, fit_width

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--search-steps", type=int, default=60, help="outer steps of the search")
parser.add_argument("--steps", type=int, default=60, help="outer steps of each network")
parser.add_argument("--test-tasks", type=int, default=100)
given = parser.parse_args()

SIZE, PARAMETERS = 16, 6000
training = qs.tasks.Glyphs(way=5, shot=1, query=5, size=SIZE)
test = qs.tasks.Glyphs(split="test", way=5, shot=1, query=5, size=SIZE)

torch.manual_seed(0)
search = qs.MetaNAS(x_shape=training.x_shape, filters=8, anneal=given.search_steps)
qs.train(search, training, steps=given.search_steps, meta_batch=4, meta_lr=1e-2, clip=10.0)
print("how much each operation weighs, for input to h1, input to h2, h1 to h2")
print("  ".join(search.operations))
for row in search.weights():
    print("  ".join(f"{weight:{len(name)}.2f}" for name, weight in zip(search.operations, row, strict=True)))

# A random cell without a convolution has no width of this size; these seeds give cells that have one.
cells = {"found": search.genotype}
for seed in (4, 7):
    cells[f"random {seed}"] = Genotype.random(nodes=2, keep=2, seed=seed)


def cell_net(cell: Genotype, filters: int) -> CellNet:
    return CellNet(genotype=str(cell), filters=filters, size=SIZE)


networks = {name: (lambda filters, cell=cell: cell_net(cell, filters)) for name, cell in cells.items()}
networks["Conv4"] = lambda filters: Conv4(filters=filters, size=SIZE)
print(f"\n{'network':12}{'parameters':>12}{'accuracy':>18}   cell")
for name, make in networks.items():
    torch.manual_seed(0)
    net = make(fit_width(make, PARAMETERS))
    learner = qs.FOMAML(net, inner_lr=0.1, inner_steps=5)
    qs.train(learner, training, steps=given.steps, meta_batch=4, meta_lr=3e-3, clip=10.0)
    result = qs.evaluate(learner, test, n_tasks=given.test_tasks, at=())
    parameters = sum(p.numel() for p in net.parameters())
    print(f"{name:12}{parameters:12,}{100 * result.mean:10.1f} ± {100 * result.ci95:.1f}   {cells.get(name, '')}")
