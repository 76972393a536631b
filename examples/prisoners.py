"""Two agents in the iterated prisoner's dilemma: naive learners betray each other, LOLA answers like with like.

    python examples/prisoners.py

Then an agent is meta-trained to learn against opponents that learn, too: it brings naive learners to cooperate.
"""

import argparse

import torch

import quickstudy as qs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=100, help="learning steps of agents that play each other")
parser.add_argument("--meta-steps", type=int, default=100, help="outer steps of the meta-learned agent")
parser.add_argument("--pairs", type=int, default=500, help="pairs of agents, each from its own start")
given = parser.parse_args()

# One round brings -1 each if both cooperate, -2 each if both defect, 0 and -3 if one betrays the other.
games = qs.tasks.IteratedGames(game="prisoners-dilemma", discount=0.96)
states = ("at first", "after CC", "after CD", "after DC", "after DD")  # own move, then the other's

print("in self-play            return   how likely to cooperate " + ", ".join(states))
for method in ("naive", "lola"):
    torch.manual_seed(0)
    agents = qs.LOLA(method=method, pairs=given.pairs)
    qs.train(agents, games, steps=given.steps, meta_batch=1, optimizer="sgd", meta_lr=1.0)
    result = qs.evaluate(agents, games, n_tasks=given.pairs)
    likely = agents.policies.detach().sigmoid().mean((0, 1))
    print(f"{method:20}{result.mean:10.2f}   " + " ".join(f"{p:.2f}" for p in likely))

# Both learn for ten steps; only one of the two has learned how to.
opponents = qs.tasks.IteratedGames(opponents=("naive",))
torch.manual_seed(0)
agent = qs.MetaAgent(inner_steps=10)
print("\nagainst naive learners  return after 0, 1, 2, 5, 10 steps of both")
for when in ("before meta-training", "after meta-training"):
    result = qs.evaluate(agent, opponents, n_tasks=200, at=(0, 1, 2, 5, 10))
    print(f"{when:22}  " + " ".join(f"{score.mean:.2f}" for score in result.by_step))
    if when.startswith("before"):
        qs.train(agent, opponents, steps=given.meta_steps, meta_batch=32, meta_lr=0.03, clip=1.0)
