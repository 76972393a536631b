"""Train a head that reads labelled features of any encoder and answers, over tasks of many classes; and measure it.

    python benchmarks/in_context_head.py --features DIR --out DIR [--data DATA]     # train; goes on where it was
    python benchmarks/in_context_head.py --features DIR --out DIR --test 600                       # rows into results/
    python benchmarks/in_context_head.py --table

Trained over training classes of CIFAR-FS, characters of Omniglot's background set and training intents of CLINC150;
each batch of tasks has a way of 2 to 20, 1 to 20 shots, classes at random or alike, some of the columns, noise, and
features that a ``Background`` of other classes has shrunk, or not. What is kept is the last step; steps, width and
depth were chosen on validation classes of CIFAR-FS and Omniglot. Written down before the test was looked at: it comes
with the package if, on features of any encoder (no background), it is above the best plain head of each domain by more
than the interval, in the mean of the five test domains, with 1 and with 5 rows a class; and ``auto`` takes it if that
is better on the validation classes by more than the interval.
"""

import argparse
import functools
import json
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from classify import DOMAINS, QUERY, SEEN, WAY, draw, plain
from classify_data import load
from classify_parts import right
from quickstudy.apply.background import Background, Component
from quickstudy.apply.heads.candidates import CENTRED, PLAIN, SHRUNK, Candidate
from quickstudy.apply.heads.in_context import FILE, InContextHead, plain_heads
from quickstudy.apply.heads.transform import GUESSED, Transform
from quickstudy.core.files import write_atomic
from quickstudy.core.sealed import open_tensors, sealed_tensors
from quickstudy.encoders.encoder import encoder
from quickstudy.training.intervals import mean_and_half_width
from results import RESULTS, add_result_row, own_command, read_result_rows
from rows import show

GAIN = "points_above_best_plain"
TRAINED_ON = {"cifar-fs train": 0.45, "omniglot train": 0.3, "clinc150 train": 0.25}


@dataclass(frozen=True)
class Kind:
    """Features of classes that tasks are drawn from, spread as a head gets them, and what is known of their mean."""

    x: Tensor
    of: list[Tensor]
    guess: Tensor | None


def kinds(name: str, features: Path, data: Path) -> list[Kind]:
    """As they are; and halves of the classes, with a background that is made of the other half."""
    x, y, _ = load(name, features, data)
    rows = torch.from_numpy(x)
    every = [torch.from_numpy(np.flatnonzero(y == c)) for c in np.unique(y)]
    plain = Transform(CENTRED, x.shape[1])
    found = [Kind(plain.spread(rows).float(), every, None)]
    for split in range(2):
        order = np.random.default_rng(split).permutation(len(every))
        for half in (order[::2], order[1::2]):
            others = ~np.isin(y, half)
            known = Background.component(x[others], y[others])
            found.append(shrunk(rows, [every[c] for c in half], known))
    return found


def shrunk(rows: Tensor, of: list[Tensor], known: Component) -> Kind:
    transform = Transform(SHRUNK, rows.shape[1], known)
    guess = transform.guess
    assert guess is not None
    return Kind(transform.spread(rows).float(), of, guess.float())


def drawn(
    kind: Kind, way: int, shots: int, query: int, rng: np.random.Generator, *, alike: bool
) -> tuple[Tensor, Tensor]:
    """Labelled rows ``[way * shots, f]`` and rows to predict ``[way * query, f]``, class by class."""
    chosen = rng.choice(len(kind.of), way, replace=False)
    if alike:
        means = torch.stack([kind.x[kind.of[c][:8]].mean(0) for c in range(len(kind.of))])
        means = F.normalize(means - means.mean(0), dim=1)
        near = (means @ means[chosen[0]]).numpy() + 0.3 * rng.normal(size=len(means))
        chosen = np.argsort(-near)[:way]
    rows = [kind.of[c][torch.from_numpy(rng.permutation(len(kind.of[c]))[: shots + query])] for c in chosen]
    return kind.x[torch.cat([r[:shots] for r in rows])], kind.x[torch.cat([r[shots:] for r in rows])]


def products(support: Tensor, asked: Tensor, guess: Tensor | None) -> tuple[Tensor, Tensor]:
    """As a head gets them: the mean taken off, length 1."""
    mean = support.mean(0)
    if guess is not None:
        mean = (support.sum(0) + GUESSED * guess) / (len(support) + GUESSED)
    s, q = (F.normalize(rows - mean, dim=1) for rows in (support, asked))
    return s @ s.T, q @ s.T


def batch(sets: dict[str, list[Kind]], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tasks of one way and number of shots: products, classes, products of the rows to predict, their classes."""
    name = str(rng.choice([*TRAINED_ON], p=[*TRAINED_ON.values()]))
    kind = sets[name][0 if rng.random() < 0.5 else int(rng.integers(1, len(sets[name])))]
    least = min(len(rows) for rows in kind.of)
    query = 5
    shots = min(int(rng.choice([1, 1, 1, 2, 3, 4, 5, 5, 5, 5, 7, 10, 15, 20])), least - query)
    way = min(int(rng.choice([2, 3, 5, 5, 5, 5, 8, 10, 20])), max(2, 100 // shots), len(kind.of))
    found = []
    for _ in range(max(2, min(16, 200 // (way * shots)))):
        s, q = drawn(kind, way, shots, query, rng, alike=rng.random() < 0.3)
        if rng.random() < 0.5:
            noise = float(rng.uniform(0, 0.7)) / s.shape[1] ** 0.5
            s, q = (rows + noise * torch.from_numpy(rng.standard_normal(rows.shape, np.float32)) for rows in (s, q))
        guess = kind.guess
        if rng.random() < 0.5:
            kept = torch.from_numpy(rng.random(s.shape[1]) < rng.uniform(0.1, 1))
            s, q, guess = s[:, kept], q[:, kept], None if guess is None else guess[kept]
            size = s.norm(dim=1).mean()
            s, q, guess = s / size, q / size, None if guess is None else guess / size
        found.append(products(s, q, guess))
    g, k = (torch.stack(part) for part in zip(*found, strict=True))
    y = F.one_hot(torch.arange(way).repeat_interleave(shots)).float().expand(len(g), -1, -1)
    return g, y, k, torch.arange(way).repeat_interleave(query).expand(len(g), -1)


def loss_of(head: InContextHead, g: Tensor, y: Tensor, k: Tensor, asked: Tensor) -> Tensor:
    dual, bias = head(g, y)
    return F.cross_entropy((k @ dual + bias.unsqueeze(1)).flatten(0, 1), asked.flatten())


@functools.cache
def validation(features: Path, data: Path, tasks: int = 100) -> dict[str, list[tuple[Any, ...]]]:
    """Fixed tasks of validation classes, with the package's background and without."""
    background = Background.of_encoder(encoder("efficientnet-lite0"))
    assert background is not None
    found = {}
    for name in ("cifar-fs val", "omniglot val"):
        x, y, _ = load(name, features, data)
        rows = torch.from_numpy(x)
        of = [torch.from_numpy(np.flatnonzero(y == c)) for c in np.unique(y)]
        plain = Kind(Transform(CENTRED, x.shape[1]).spread(rows).float(), of, None)
        with_one = shrunk(rows, of, background.nearest(x, y))
        for kind, called in ((plain, "none"), (with_one, "background")):
            for shots in (1, 5):
                rng = np.random.default_rng(shots)
                own = []
                for _ in range(tasks):
                    s, q = drawn(kind, 5, shots, 15, rng, alike=False)
                    own.append(products(s, q, kind.guess))
                g, k = (torch.stack(part) for part in zip(*own, strict=True))
                own_y = F.one_hot(torch.arange(5).repeat_interleave(shots)).float().expand(tasks, -1, -1)
                found[f"{name} {called} 5w{shots}s"] = (
                    g,
                    own_y,
                    k,
                    torch.arange(5).repeat_interleave(15).expand(tasks, -1),
                )
    return found


def validate(head: InContextHead, given: argparse.Namespace) -> dict[str, tuple[float, float, list[float]]]:
    """Accuracy and loss of the head, and the accuracy of the heads that it starts with."""
    found = {}
    with torch.no_grad():
        for name, (g, y, k, asked) in validation(given.features, given.data).items():
            dual, bias = head(g, y)
            logits = k @ dual + bias.unsqueeze(1)
            duals, biases, _ = plain_heads(g, y)
            heads = zip(duals, biases, strict=True)
            plain = [100 * float(((k @ d + b.unsqueeze(1)).argmax(2) == asked).float().mean()) for d, b in heads]
            loss = float(F.cross_entropy(logits.flatten(0, 1), asked.flatten()))
            found[name] = (100 * float((logits.argmax(2) == asked).float().mean()), loss, plain)
    return found


def as_candidate(head: InContextHead) -> Candidate:
    """The head as the plain ones are: rows and classes to the weights and biases of the classes' scores."""

    def fit(x: Any, y: Any, weight: Any) -> tuple[Any, Any]:
        z = torch.from_numpy(np.ascontiguousarray(x)).float()
        with torch.no_grad():
            dual, bias = head((z @ z.T)[None], F.one_hot(torch.from_numpy(y)).float()[None])
        return (dual[0].T @ z).double().numpy(), bias[0].double().numpy()

    return Candidate(fit, CENTRED, 1.0)


def test(given: argparse.Namespace) -> None:
    """The trained head beside the plain ones, in the tasks of ``classify.py``."""
    tensors, told = open_tensors(given.out / FILE, or_older=False)
    head = InContextHead(**json.loads(told["options"])).eval()
    head.load_state_dict(tensors)
    candidate = as_candidate(head)
    background = Background.of_encoder(encoder("efficientnet-lite0"))
    for shots in given.shots:
        gains = []
        for domain in DOMAINS:
            x, y, names = load(domain, given.features, given.data)
            x, y = (part[y != names.index("out of scope")] if "out of scope" in names else part for part in (x, y))
            found: dict[str, list[float]] = defaultdict(list)
            for number in range(given.test):
                task = sx, sy, qx, qy = draw(x, y, shots, QUERY, number, WAY)
                for name in PLAIN:
                    found[name].append(100 * float((plain(name, sx, sy, qx).argmax(1) == qy).mean()))
                found["in-context"].append(right(candidate, CENTRED, None, task))
                if background is not None and domain != "clinc150":
                    found["shrunk"].append(right(candidate, SHRUNK, background.nearest(sx, sy), task))
            best = max(PLAIN, key=lambda name: np.mean(found[name]))
            add(domain, shots, "accuracy_percent", found[best], {"best": "plain"}, given)
            for name, told in (("in-context", {}), ("shrunk", {"background": "package"})):
                if name in found:
                    add(domain, shots, "accuracy_percent", found[name], told, given)
                    add(domain, shots, GAIN, np.subtract(found[name], found[best]).tolist(), told, given)
            gains.append(mean_and_half_width(torch.tensor(np.subtract(found["in-context"], found[best]).tolist())))
            print(f"{domain} {WAY}w{shots}s: {gains[-1][0]:+.2f} ± {gains[-1][1]:.2f}", flush=True)
        mean, half = np.mean([g[0] for g in gains]), np.sqrt(np.sum([g[1] ** 2 for g in gains])) / len(gains)
        add("mean of 5", shots, GAIN, (float(mean), float(half)), {}, given)


def add(domain: str, shots: int, metric: str, found: Any, told: dict[str, str], given: argparse.Namespace) -> None:
    mean, half = found if isinstance(found, tuple) else mean_and_half_width(torch.tensor(found))
    add_result_row(
        "classify", learner="in-context", tasks=domain, setting=f"{WAY}w{shots}s", metric=metric, mean=mean, ci95=half,
        n_tasks=given.test, seed=0, options=told, results=given.results,
    )  # fmt: skip


def print_table(results: Path) -> None:
    rows = [row for row in read_result_rows(results / "classify.csv") if row["learner"] == "in-context"]
    by = {(r["tasks"], r["setting"], r["options"], r["metric"]): r for r in rows}
    lines = [["tasks", "", "best plain head", "in-context", "above it", "on shrunk features", "above it"]]
    accuracy = "accuracy_percent"
    columns = (("best=plain", accuracy), ("", accuracy), ("", GAIN),
               ("background=package", accuracy), ("background=package", GAIN))  # fmt: skip
    for domain in (*DOMAINS, "mean of 5"):
        for setting in ("5w1s", "5w5s"):
            if (domain, setting, "", GAIN) in by:
                found = [by.get((domain, setting, *column)) for column in columns]
                cells = ["" if r is None else f"{float(r['mean']):.1f} ± {float(r['ci95']):.1f}" for r in found]
                tasks = by[domain, setting, "", GAIN]["n_tasks"]
                lines.append([SEEN.get(domain, domain), f"{setting}, {tasks} tasks", *cells])
    show(lines)


def train(given: argparse.Namespace) -> None:
    torch.manual_seed(0)
    head = InContextHead(given.width, given.depth)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=1e-2)
    sets = {name: kinds(name, given.features, given.data) for name in TRAINED_ON}
    kept, first = given.out / "training.pt", 0
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        head.load_state_dict(state["head"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    started, losses = time.process_time(), []
    for step in range(first, given.steps):
        for group in optimizer.param_groups:
            group["lr"] = float(
                given.lr * min(1, (step + 1) / 100) * 0.5 * (1 + np.cos(np.pi * step / given.steps)) + 1e-6
            )
        loss = loss_of(head, *batch(sets, np.random.default_rng([1, step])))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if (step + 1) % given.every == 0 or step + 1 == given.steps:
            print(f"step {step + 1}: {np.mean(losses[-given.every :]):.4f}, {time.process_time() - started:.0f} CPU s")
            for name, (accuracy, nats, plain) in validate(head, given).items():
                print(f"  {name:34} {accuracy:.2f} {nats:.4f}   {' '.join(f'{p:.2f}' for p in plain)}", flush=True)
            given.out.mkdir(parents=True, exist_ok=True)
            torch.save({"head": head.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}, kept)
    about = {"options": json.dumps({"width": given.width, "depth": given.depth}), "trained on": json.dumps(TRAINED_ON)}
    content = sealed_tensors(head.state_dict(), {**about, "command": own_command()})
    write_atomic(given.out / FILE, content, anywhere=True)
    print(f"{FILE}: {len(content) / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, default=Path("runs/classify/features"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("QUICKSTUDY_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, default=Path("runs/classify/in-context-head"))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--every", type=int, default=500)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--test", type=int, default=0, help="tasks to test on, of each domain")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.test:
        test(given)
    elif not given.table:
        train(given)
    if given.test or given.table:
        print_table(given.results)


if __name__ == "__main__":
    main()
