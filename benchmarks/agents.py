"""Agents that learn to learn, beside others and beside the papers' figures; and how fast environments step.

    python benchmarks/agents.py --speed                                           # steps per second, beside Gymnasium
    python benchmarks/agents.py --navigation --budget 1200 --out runs/agents      # MAML, Reptile and pretrained
    python benchmarks/agents.py --bandits --budget 600 --out runs/agents          # RL^2, Thompson sampling, UCB1
    python benchmarks/agents.py --mdps --budget 1200 --out runs/agents            # and posterior sampling
    python benchmarks/agents.py --cheetah --budget 600 --test-tasks 40 --out runs/agents   # needs the extra rl
    python benchmarks/agents.py --table --out runs/agents                         # print what is there

``--navigation``: returns after 0, 1, 2 and 3 updates on goals not seen in training, of MAML, of Reptile (in three
larger inner steps) and of the same network trained as long on all goals at once (inner steps in the test only, at the
best of a few step sizes); the reward is the one of the authors' code, whose figures the paper has. ``--bandits``: the
rewards of a trial of ``--pulls``, summed, for each ``--arms``. ``--mdps``: the same over ``--episodes`` episodes.
``--cheetah``: MuJoCo's HalfCheetah forwards or backwards, MAML and pretrained, with short episodes that two cores can
make. A budget is seconds of one core for each row; a row is a run in a process of its own. Rows that are in
results.jsonl already are not run again, and a run that was interrupted goes on from its last checkpoint.
"""

import argparse
import json
import statistics
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.seeding import fold
from quickstudy.recipes import Choice, split_options
from quickstudy.tasks.environments.bandit_rules import BANDIT_RULES, play_bandits
from quickstudy.tasks.environments.mdp_rules import MDP_RULES, play_mdps
from quickstudy.training.intervals import mean_and_half_width
from rows import add, read, run_all, show, steps_in_time

STEPS = (0, 1, 2, 3)
PAPER_NAVIGATION = (-40.41, -11.68, -3.33, -3.23)
REPTILE = {"outer": "reptile", "inner_steps": 3, "inner_lr": 0.3}
PRETRAINED_LR = (0.01, 0.03, 0.1, 0.3)
BANDIT_PULLS = 6400  # in an outer step
CHEETAH = {"goal": "direction", "horizon": 100, "episodes": 10, "meta_batch": 8}
TITLES = {"navigation": "2-D navigation", "half-cheetah": "HalfCheetah forwards or backwards, 100 steps"}


def run_row(row: dict[str, Any], out: Path, n_tasks: int) -> None:
    """Measure the rate, train or go on, test, and append the result to ``results.jsonl``."""
    torch.set_num_threads(1)
    choice = Choice.of(row["learner"], row["tasks"], preset="quick")
    options = {**choice.options(), **row["options"], "seed": row["seed"], "workers": 1}
    grows = {"curriculum": 0} if "curriculum" in options else {}  # the rate is that of whole trials
    learner, tasks = choice.build({**options, **grows})
    words = [row["what"], row["learner"], *(f"{k}{v}" for k, v in row["options"].items()), row["seed"], row["budget"]]
    folder = out / "-".join(str(word) for word in words)
    plan = folder.with_suffix(".steps")  # so that an interrupted run goes on to the end it was begun with
    if not plan.exists():
        plan.write_text(str(steps_in_time(learner, tasks, options["meta_batch"], row["budget"])))
    steps = int(plan.read_text())
    options |= {"steps": steps, "checkpoint_every": max(1, steps // 20), **dict.fromkeys(grows, steps // 2)}
    learner, tasks = choice.build(options)
    training, _ = split_options(options)
    validation = registry.build(registry.describe(tasks), split="val")
    training |= {"validate_every": max(1, steps // 10), "out": folder, "resume": True}
    run = qs.train(learner, tasks, validation=validation, **training)
    run.load_into(learner)
    result = test(row, learner, tasks, n_tasks)
    run.add_result({**result.to_json(), "split": "test", "checkpoint": steps})
    record = {
        **row,
        "steps": steps,
        "seconds": next((r["seconds"] for r in reversed(run.metrics()) if "seconds" in r), None),
        "n_tasks": n_tasks,
    }
    scale = learner.episodes if isinstance(learner, qs.RL2) else 1  # the papers sum the rewards of a trial
    by_step = [replace(s, mean=scale * s.mean, ci95=scale * s.ci95, loss=scale * s.loss) for s in result.by_step]
    record |= {"by_step": [asdict(s) for s in by_step]}
    add(out, record)


def test(row: dict[str, Any], learner: qs.MetaLearner, tasks: Any, n_tasks: int) -> qs.Result:
    held_out = registry.build(registry.describe(tasks), split="test")
    if row["what"] != "pretrained":
        return qs.evaluate(
            learner, held_out, n_tasks=n_tasks, steps=3 if row["learner"] == "maml-rl" else None, workers=1
        )
    # What was trained without inner steps has no step size of its own: the best on other tasks.
    validation = registry.build(registry.describe(tasks), split="val")
    scored: list[tuple[float, qs.MetaLearner]] = []
    for lr in PRETRAINED_LR:
        own = registry.build(registry.describe(learner), inner_lr=lr, inner_steps=1)
        own.load_state_dict(learner.state_dict())
        scored.append((qs.evaluate(own, validation, n_tasks=50, steps=3, at=(), workers=1).mean, own))
    best = max(scored, key=lambda pair: pair[0])[1]
    return qs.evaluate(best, held_out, n_tasks=n_tasks, steps=3, workers=1)


def sizes(pulls: int) -> dict[str, Any]:
    """About as many pulls in every outer step."""
    return {"meta_batch": max(1, BANDIT_PULLS // pulls)}


def rows_of(given: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        same = {"seed": seed, "budget": given.budget}
        if given.navigation:
            own = {"learner": "maml-rl", "tasks": "navigation", **same}
            rows.append({"what": "maml", **own, "options": {"reward": "distance"}})
            rows.append({"what": "reptile", **own, "options": {"reward": "distance", **REPTILE}})
            rows.append({"what": "pretrained", **own, "options": {"reward": "distance", "inner_steps": 0}})
        if given.cheetah:
            own = {"learner": "maml-rl", "tasks": "half-cheetah", **same}
            rows.append({"what": "maml", **own, "options": CHEETAH})
            rows.append({"what": "pretrained", **own, "options": {**CHEETAH, "inner_steps": 0}})
        if given.bandits:
            shapes = [(pulls, arms) for pulls in given.pulls for arms in given.arms]
            own = {"what": "bandits", "learner": "rl2", "tasks": "bandits", **same}
            rows += [{**own, "options": {"episodes": pulls, "arms": arms, **sizes(pulls)}} for pulls, arms in shapes]
        if given.mdps:
            own = {"what": "mdps", "learner": "rl2", "tasks": "mdps", **same}
            rows += [{**own, "options": {"episodes": trial}} for trial in given.episodes]
    return rows


def print_tables(records: list[dict[str, Any]], n_tasks: int) -> None:
    """Markdown; ± is the 95% interval over test tasks."""
    for tasks, title in TITLES.items():
        adapting = [r for r in records if r["tasks"] == tasks]
        if not adapting:
            continue
        lines = [[f"{title}: return after", *(f"{k} updates" for k in STEPS), "outer steps", "seconds, seed"]]
        for r in adapting:
            cells = [f"{s['mean']:.2f} ± {s['ci95']:.2f}" for s in r["by_step"]]
            lines.append([r["what"], *cells, str(r["steps"]), f"{r['budget']:g}, {r['seed']}"])
        if tasks == "navigation":
            lines.append(["MAML, the paper", *(f"{value:.2f}" for value in PAPER_NAVIGATION), "500", ""])
        show(lines)
        print()
    bandits = [r for r in records if r["what"] == "bandits"]
    if bandits:
        lines = [["pulls, arms", "RL^2", *BANDIT_RULES, "outer steps"]]
        for r in sorted(bandits, key=lambda r: (r["options"]["episodes"], r["options"]["arms"])):
            pulls, arms = r["options"]["episodes"], r["options"]["arms"]
            batch = qs.tasks.Bandits(arms=arms, split="test").sample(max(n_tasks, 10000), fold(0, "rules"))
            torch.manual_seed(0)
            rules = [mean_and_half_width(play_bandits(rule, batch, pulls)) for rule in BANDIT_RULES.values()]
            own = [(s["mean"], s["ci95"]) for s in r["by_step"]]
            cells = [f"{mean:.2f} ± {ci:.2f}" for mean, ci in (*own, *rules)]
            lines.append([f"{pulls}, {arms}", *cells, str(r["steps"])])
        show(lines)
    mdps = [r for r in records if r["what"] == "mdps"]
    if mdps:
        print()
        batch = qs.tasks.TabularMDPs(split="test").sample(n_tasks, fold(0, "rules"))
        lines = [["episodes", "RL^2", *MDP_RULES, "outer steps"]]
        for r in sorted(mdps, key=lambda r: r["options"]["episodes"]):
            trial = r["options"]["episodes"]
            torch.manual_seed(0)
            rules = [mean_and_half_width(play_mdps(rule, batch, trial)) for rule in MDP_RULES.values()]
            cells = [f"{mean:.1f} ± {ci:.1f}" for mean, ci in (*((s["mean"], s["ci95"]) for s in r["by_step"]), *rules)]
            lines.append([str(trial), *cells, str(r["steps"])])
        show(lines)


def speed(rounds: int) -> None:
    """Steps per second of ``Navigation`` and of the same environment in Gymnasium's vector loop, by turns."""
    import gymnasium
    import numpy as np

    class Point(gymnasium.Env[Any, Any]):
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
        action_space = gymnasium.spaces.Box(-1, 1, (2,))

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            super().reset(seed=seed)
            self.goal = self.np_random.uniform(-0.5, 0.5, 2)
            self.place, self.time = np.zeros(2), 0
            return self.place.astype(np.float32), {}

        def step(self, action: Any) -> Any:
            self.place = self.place + 0.1 * np.clip(action, -1, 1)
            self.time += 1
            squared = float(((self.place - self.goal) ** 2).sum())
            return self.place.astype(np.float32), -squared, squared < 0.01**2, self.time >= 100, {}

    torch.set_num_threads(1)

    def gym_rate(count: int) -> float:
        envs = gymnasium.vector.SyncVectorEnv([Point] * count)
        envs.reset(seed=0)
        actions = np.random.default_rng(0).normal(size=(20, count, 2)).astype(np.float32)
        started = time.process_time()
        for action in actions:
            envs.step(action)
        return 20 * count / (time.process_time() - started)

    def own_rate(tasks: int, episodes: int) -> float:
        batch = qs.tasks.Navigation().sample(tasks, 0)
        state, _ = batch.reset(episodes, 0)
        actions = torch.randn(20, tasks, episodes, 2)
        started = time.process_time()
        for _ in range(5):
            for action in actions:
                state = batch.step(state, action).state
        return 100 * tasks * episodes / (time.process_time() - started)

    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for count in (64, 1024):
            found.setdefault(f"Gymnasium, SyncVectorEnv of {count}", []).append(gym_rate(count))
        for tasks, episodes in ((40, 20), (200, 20), (1000, 20)):
            name = f"quickstudy, {tasks} tasks x {episodes} episodes"
            found.setdefault(name, []).append(own_rate(tasks, episodes))
    base = max(statistics.median(rates) for name, rates in found.items() if name.startswith("Gym"))
    lines = [["2-D navigation, one core", "environment steps per second", "times the faster Gymnasium loop"]]
    for name, rates in found.items():
        middle = statistics.median(rates)
        lines.append([name, f"{middle:,.0f} ({min(rates):,.0f} to {max(rates):,.0f})", f"{middle / base:.1f}"])
    show(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for what in ("speed", "navigation", "bandits", "mdps", "cheetah", "table"):
        parser.add_argument(f"--{what}", action="store_true")
    parser.add_argument("--budget", type=float, default=600, help="seconds of one core for the training of a row")
    parser.add_argument("--pulls", type=int, nargs="+", default=[10, 100, 500])
    parser.add_argument("--arms", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--episodes", type=int, nargs="+", default=[10, 25], help="episodes of an MDP")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--test-tasks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="of --speed")
    parser.add_argument("--jobs", type=int, default=1, help="rows at the same time, each on one core")
    parser.add_argument("--out", type=Path, default=Path("runs/agents"))
    parser.add_argument("--row", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.speed:
        speed(given.rounds)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    if given.row:
        run_row(json.loads(given.row), given.out, given.test_tasks)
        return
    if not given.table:
        run_all(rows_of(given), __file__, given.out, given.jobs, "--test-tasks", str(given.test_tasks))
    print_tables(read(given.out), given.test_tasks)


if __name__ == "__main__":
    main()
