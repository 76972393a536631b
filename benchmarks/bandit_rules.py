"""What plays bandits without having been trained: the rules of ``quickstudy``, UCB1 tuned, Gittins' index.

    python benchmarks/bandit_rules.py                         # 10, 100 and 500 pulls of 5 and of 10 arms
    python benchmarks/bandit_rules.py --pulls 100 --arms 10   # one of them

All play the trials that RL^2 plays: the rewards of so many pulls, summed. The width of UCB1's bonus and the discount of
Gittins' index are those that do best on 4,000 validation bandits; then 10,000 test bandits are played once. Rows go
into ``results/bandits.csv``.

References: Auer, Cesa-Bianchi, Fischer: Finite-time Analysis of the Multiarmed Bandit Problem. Machine Learning 47,
2002. Gittins: Bandit Processes and Dynamic Allocation Indices. JRSS B 41, 1979.
"""

import argparse
import math
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

import quickstudy as qs
from quickstudy.core.seeding import fold
from quickstudy.tasks.environments.bandit_rules import BANDIT_RULES, Rule, greedy, play_bandits
from quickstudy.training.intervals import mean_and_half_width
from results import RESULTS, add_result_row
from rows import show

BONUSES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 1.0)
DISCOUNTS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)
AHEAD = 200  # so many pulls more than are played are planned for: what is left then counts as known


def tuned_ucb(wins: Tensor, losses: Tensor, pull: int, *, bonus: float) -> Tensor:
    """UCB1 with a bonus of any size on the mean given a uniform prior, so that untried arms may wait."""
    return greedy(wins, losses, pull) + bonus * (2 * math.log(1 + pull) / (1 + wins + losses)).sqrt()


def gittins(wins: Tensor, losses: Tensor, pull: int, *, pulls: int, discount: float) -> Tensor:
    """Gittins' index, best of all where rewards are discounted for ever; ties by lot."""
    index = gittins_index(discount, pulls)
    return index[wins.long(), losses.long()] + 1e-6 * torch.rand_like(wins)


@cache
def gittins_index(discount: float, pulls: int, points: int = 501) -> Tensor:
    """The index of an arm after so many wins and losses, ``[pulls + 1, pulls + 1]``, given a uniform prior.

    That of an arm which pays ``c`` for certain is ``c``; the index of another is the ``c`` at which there is nothing to
    choose between pulling it, with leave to change to the certain one later, and the certain one for ever. Both are
    computed for ``points`` values of ``c`` at once, backwards from ``AHEAD`` pulls after the last.
    """
    certain = torch.linspace(0, 1, points, dtype=torch.float64)
    rest = certain / (1 - discount)
    seen = pulls + AHEAD
    means = torch.arange(1, seen + 2, dtype=torch.float64) / (seen + 2)
    value = torch.maximum(rest, means[:, None] / (1 - discount))  # of each number of wins among those seen
    index = torch.full((pulls + 1, pulls + 1), torch.nan, dtype=torch.float64)
    for seen in range(pulls + AHEAD - 1, -1, -1):
        means = (torch.arange(1, seen + 2, dtype=torch.float64) / (seen + 2))[:, None]
        pulled = means + discount * (means * value[1:] + (1 - means) * value[:-1])
        if seen <= pulls:
            gain = (pulled - rest) * (1 - discount)  # falls in ``certain``
            last = (gain > 0).sum(1).clamp(1, points - 1) - 1
            left, right = gain.gather(1, last[:, None])[:, 0], gain.gather(1, last[:, None] + 1)[:, 0]
            at = certain[last] + (left / (left - right).clamp(min=1e-300)).clamp(0, 1) / (points - 1)
            wins = torch.arange(seen + 1)
            index[wins, seen - wins] = at
        value = torch.maximum(rest, pulled)
    return index.float()


def chosen(arms: int, pulls: int) -> dict[str, tuple[Rule, dict[str, float]]]:
    """The rules, and those with a constant that does best on validation bandits."""
    batch = qs.tasks.Bandits(arms=arms, split="val").sample(4000, fold(0, "rules"))
    found: dict[str, tuple[Rule, dict[str, float]]] = {name: (rule, {}) for name, rule in BANDIT_RULES.items()}

    def mean(rule: Rule) -> float:
        torch.manual_seed(0)
        return float(play_bandits(rule, batch, pulls).mean())

    bonus = max(BONUSES, key=lambda c: mean(partial(tuned_ucb, bonus=c)))
    discount = max(DISCOUNTS, key=lambda d: mean(partial(gittins, pulls=pulls, discount=d)))
    found["UCB1, tuned"] = partial(tuned_ucb, bonus=bonus), {"bonus": bonus}
    found["Gittins' index"] = partial(gittins, pulls=pulls, discount=discount), {"discount": discount}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pulls", type=int, nargs="+", default=[10, 100, 500])
    parser.add_argument("--arms", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--test-tasks", type=int, default=10000)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[list[str]] = []
    for pulls in given.pulls:
        for arms in given.arms:
            batch = qs.tasks.Bandits(arms=arms, split="test").sample(given.test_tasks, fold(0, "rules"))
            cells = [f"{pulls}, {arms}"]
            rules = chosen(arms, pulls)
            for name, (rule, constant) in rules.items():
                torch.manual_seed(0)
                mean, ci95 = mean_and_half_width(play_bandits(rule, batch, pulls))
                said = "".join(f" ({value:g})" for value in constant.values())
                cells.append(f"{mean:.2f} ± {ci95:.2f}{said}")
                add_result_row(
                    "bandits",
                    **{"learner": name, "tasks": "bandits", "setting": f"{arms} arms, {pulls} pulls", "seed": 0},
                    **{"n_tasks": given.test_tasks, "metric": "return", "mean": mean, "ci95": ci95},
                    **{"options": constant, "results": given.results},
                )
            lines.append(cells)
    show([["pulls, arms", *rules], *lines])


if __name__ == "__main__":
    main()
