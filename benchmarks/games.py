"""Iterated games: what agents that learn come to with their like, with each other, and with whom they may meet.

    python benchmarks/games.py --picture docs/assets/tournament.png

Three tables, each number a mean with its 95% interval over random starts of those who have one (``--seeds``):

1. self-play: cooperation and return per round after ``--steps`` steps, naive learners and LOLA, four games;
2. learning against opponents drawn from a distribution, ``--meta-steps`` steps: the meta-learned agent, trained here,
   beside naive and LOLA agents that start at random;
3. a round-robin tournament in the prisoner's dilemma: what the row gets against the column, and a heat map of it.

All steps are of size 1 (in self-play of matching pennies ten times as many of size 0.1; LOLA assumes steps of 1 of the
other) on the exact discounted sum of rewards, of discount 0.96.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import quickstudy as qs
from quickstudy.learners.agents.shaping import taylor
from quickstudy.tasks.games.iterated import GAMES, GameBatch
from quickstudy.tasks.games.opponents import OPPONENTS, STRATEGIES
from quickstudy.training.intervals import mean_and_half_width

Step = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(own [games, 5], theirs [games, 5], derivative of the own return [games, 5]) -> what is added to own``."""


@dataclass(frozen=True)
class Player:
    """Where it starts ``[games, 5]``, how it steps, and the step that it assumes of the other (0: none)."""

    start: Tensor
    step: Step
    lookahead: float = 0.0


def ascend(own: Tensor, theirs: Tensor, ascent: Tensor) -> Tensor:
    return ascent


def stay(own: Tensor, theirs: Tensor, ascent: Tensor) -> Tensor:
    return torch.zeros_like(own)


def player(name: str, games: int, seed: int, agent: qs.MetaAgent | None) -> Player:
    if name in STRATEGIES:
        return Player(torch.tensor(STRATEGIES[name]).expand(games, 5), stay)
    if name == "meta-agent":
        assert agent is not None
        return Player(agent.start.detach().expand(games, 5), agent.step)
    start = torch.randn(games, 5, generator=torch.Generator().manual_seed(seed))
    return Player(start, ascend, 1.0 if name == "lola" else 0.0)


@torch.no_grad()
def play(batch: GameBatch, first: Player, second: Player, steps: int, lr: float = 1.0) -> Tensor:
    """Both players' policies after ``steps`` steps of learning, ``[games, 2, 5]``; ``lr`` times what they want."""
    policies = torch.stack([first.start, second.start], 1)
    eta = torch.tensor([first.lookahead, second.lookahead])
    for _ in range(steps):
        up = taylor(batch.values, policies, eta)
        own, other = policies[:, 0], policies[:, 1]
        wanted = torch.stack([first.step(own, other, up[:, 0]), second.step(other, own, up[:, 1])], 1)
        policies = policies + lr * wanted
    return policies


def cell(values: Tensor) -> str:
    mean, half = mean_and_half_width(values)
    return f"{mean:.2f} ± {half:.2f}"


def rows(header: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *lines])


SMALLER_STEPS = {"matching-pennies": 0.1}
"""Where steps of 1 throw both players about the equilibrium; as many times more of them are taken."""


def self_play(seeds: int, steps: int) -> str:
    lines = []
    for game in GAMES:
        batch = qs.tasks.IteratedGames(game=game).sample(seeds, 0)
        for name in ("naive", "lola"):
            pair = [player(name, seeds, seed, None) for seed in (1, 2)]
            lr = SMALLER_STEPS.get(game, 1.0)
            policies = play(batch, pair[0], pair[1], round(steps / lr), lr)
            coop, got = batch.cooperation(policies), batch.returns(policies)
            # Of a pair the mean: its two players are not independent. Pennies: what one gets, the other loses.
            seen = got[:, 0] if game == "matching-pennies" else got.mean(1)
            lines.append([game, name, cell(coop.mean(1)), cell(seen), f"{got[:, 0].std().item():.2f}"])
    return rows(["game", "both players", "cooperation", "return per round", "its spread over pairs"], lines)


def train_agent(game: str, steps: int, inner_steps: int) -> qs.MetaAgent:
    torch.manual_seed(0)
    agent = qs.MetaAgent(inner_steps=inner_steps)
    tasks = qs.tasks.IteratedGames(game=game)
    qs.train(agent, tasks, steps=steps, meta_batch=48, meta_lr=0.02, schedule="cosine", clip=1.0)
    return agent.eval()


def against_the_distribution(agents: dict[str, qs.MetaAgent], games: int, steps: int) -> str:
    lines = []
    for game, agent in agents.items():
        batch = qs.tasks.IteratedGames(game=game, split="test").sample(games, 0)
        found = {}
        for name in ("naive", "lola"):
            own = player(name, games, 3, None)
            met = batch.opponents
            policies = torch.stack([own.start, met.logits], 1)
            eta = torch.stack([torch.full((games,), own.lookahead), met.lookahead], 1)
            rates = torch.stack([torch.ones(games), met.lr], 1)[..., None]
            for _ in range(steps):
                policies = policies + rates * taylor(batch.values, policies, eta)
            found[name] = batch.returns(policies)[:, 0]
        untrained = qs.MetaAgent(inner_steps=steps)
        for name, a in (("meta-agent, untrained", untrained), ("meta-agent", agent)):
            with torch.no_grad():
                found[name] = a.score_tasks(batch, [steps])[0, 0]
        for name, got in found.items():
            by_kind = [cell(got[batch.opponents.kind == k]) for k in range(len(OPPONENTS))]
            lines.append([game, name, cell(got), *by_kind])
    return rows(["game", "agent", "all", *OPPONENTS], lines)


def tournament(agent: qs.MetaAgent, seeds: int, steps: int) -> tuple[list[str], list[list[Tensor]]]:
    names = ["naive", "lola", "meta-agent", *STRATEGIES]
    batch = qs.tasks.IteratedGames().sample(seeds, 0)
    results = [
        [batch.returns(play(batch, player(a, seeds, 1, agent), player(b, seeds, 2, agent), steps))[:, 0] for b in names]
        for a in names
    ]
    return names, results


def heat_map(names: list[str], results: list[list[Tensor]], path: Path, title: str) -> None:
    from matplotlib.figure import Figure

    means = [[float(r.mean()) for r in row] for row in results]
    figure = Figure(figsize=(6.2, 5), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(means, cmap="viridis", vmin=-3, vmax=0)
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.set(title=title, xlabel="against", ylabel="return of")
    for i, row in enumerate(means):
        for j, value in enumerate(row):
            axis.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if value < -1.2 else "black")
    figure.colorbar(image, label="return per round")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="random starts per table cell")
    parser.add_argument("--steps", type=int, default=100, help="steps of learning in self-play and tournament")
    parser.add_argument("--meta-steps", type=int, default=20, help="steps in which the meta-agent adapts")
    parser.add_argument("--train", type=int, default=300, help="outer steps that train it (0: self-play only)")
    parser.add_argument("--games", default=",".join(GAMES), help="games that it is trained in")
    parser.add_argument("--picture", type=Path, help="a PNG of the tournament")
    given = parser.parse_args()
    begun = time.perf_counter()
    print(f"Self-play, {given.seeds} pairs, after {given.steps} steps\n")
    print(self_play(given.seeds, given.steps), end="\n\n", flush=True)
    if given.train == 0:
        return
    agents = {game: train_agent(game, given.train, given.meta_steps) for game in given.games.split(",")}
    print(f"Against {5 * given.seeds} opponents drawn at random, return per round after {given.meta_steps} steps\n")
    print(against_the_distribution(agents, 5 * given.seeds, given.meta_steps), end="\n\n", flush=True)
    if "prisoners-dilemma" not in agents:
        return
    names, results = tournament(agents["prisoners-dilemma"], given.seeds, given.steps)
    print(f"Tournament, {given.seeds} pairs each, return per round of the row after {given.steps} steps\n")
    overall = [torch.stack(row).mean(0) for row in results]
    lines = [[n, *map(cell, row), cell(all_)] for n, row, all_ in zip(names, results, overall, strict=True)]
    print(rows(["", *names, "mean"], lines), end="\n\n")
    if given.picture is not None:
        heat_map(names, results, given.picture, f"iterated prisoner's dilemma, after {given.steps} steps")
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
