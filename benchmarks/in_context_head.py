"""Train a head that reads labelled features of any encoder and answers, over tasks of many classes; and measure it.

    python benchmarks/in_context_head.py --features DIR --out DIR [--steps 6000] [--data DATA]     # train; goes on
    python benchmarks/in_context_head.py --features DIR --out DIR --test 600                       # rows into results/

What it reads is the matrix of products of the labelled features, so that the encoder's width and the directions of its
features do not matter, and any number of classes and rows will do. Every pair of a row i and a class c has a code:

    h_ic   <-  h_ic + MLP( h_ic, sum_j G_ij h_jc / n, sum_j softmax_j(t G_ij) h_jc, mean of h_jc over the rows j of c,
                           mean of h_ic over the classes c, h_iy of the row's own class y )
    W      =   sum_i a_ic z_i,    a_ic = sum_k exp(s_k) a_ic(head k) + linear(h_ic)

so it starts as a mixture of centroids and ridge regressions of three penalties (k), and learns the mixture (s, from the
mean of all codes) and what is to be added. Renaming classes renames the answers and the order of rows does not matter,
as in ``quickstudy.learners.in_context``; what comes out is a linear map, as of the plain heads. (Fifty et al.:
Context-aware meta-learning, CAML. ICLR 2024; von Oswald et al.: Transformers learn in-context by gradient descent. ICML
2023.)

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
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from classify_data import load
from quickstudy.apply.background import Background, Component
from quickstudy.apply.heads.candidates import CENTRED, SHRUNK
from quickstudy.apply.heads.transform import GUESSED, Transform

PENALTIES = (0.1, 0.3, 1.0)
START = (5.0, 2.0, 4.0, 6.0)  # what the centroids and the ridge regressions are multiplied by before training
TRAINED_ON = {"cifar-fs train": 0.45, "omniglot train": 0.3, "clinc150 train": 0.25}


class InContextHead(nn.Module):
    """Products of labelled rows ``[b, n, n]`` and their classes ``[b, n, c]`` to dual weights and biases.

    Args:
        width: of the codes.
        depth: how often they are updated.
    """

    def __init__(self, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        self.read = nn.Linear(4 + len(PENALTIES), width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(7 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(depth)
        )
        self.sharp = nn.Parameter(torch.tensor([[3.0, 10.0]] * depth))
        self.end = nn.LayerNorm(width)
        self.mix, self.add, self.bias = nn.Linear(width, 1 + len(PENALTIES)), nn.Linear(width, 1), nn.Linear(width, 1)
        for layer in (self.mix, self.add, self.bias):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, g: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        n, c = y.shape[1:]
        duals, biases, held_out = plain_heads(g, y)
        counts = y.sum(1, keepdim=True)  # [b, 1, c]
        about = torch.stack([y, held_out[0], *held_out[1:], (counts / 5).log().expand_as(y),
                             torch.full_like(y, np.log(c / 5))], -1)  # fmt: skip
        h = self.read(about)
        own = y / counts
        off = g - torch.diag_embed(g.diagonal(dim1=1, dim2=2))
        for norm, layer, sharp in zip(self.norms, self.layers, self.sharp, strict=True):
            u = norm(h)
            flat = u.flatten(2)
            near = [(torch.softmax(t * off, 2) @ flat).view_as(u) for t in sharp]
            linear = (off @ flat).view_as(u) * (5 * c / n)
            of_class = torch.einsum("bnc,bncd->bcd", own, u).unsqueeze(1).expand_as(u)
            of_row = u.mean(2, keepdim=True).expand_as(u)
            right = torch.einsum("bnc,bncd->bnd", y, u).unsqueeze(2).expand_as(u)
            h = h + layer(torch.cat([u, linear, *near, of_class, of_row, right], 3))
        h = self.end(h)
        of_class = torch.einsum("bnc,bncd->bcd", own, h)
        parts = self.mix(of_class.mean(1)).exp() * h.new_tensor(START)  # [b, k]
        dual = torch.einsum("bk,kbnc->bnc", parts, duals) + self.add(h).squeeze(3) * (10 * c / n)
        return dual, torch.einsum("bk,kbc->bc", parts, biases) + self.bias(of_class).squeeze(2)


def plain_heads(g: Tensor, y: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Dual weights ``[k, b, n, c]`` and biases ``[k, b, c]`` of the heads, and scores of rows held out one by one."""
    n = y.shape[1]
    counts = y.sum(1, keepdim=True)
    means = y / counts
    lengths = torch.einsum("bnc,bnm,bmc->bc", means, g, means).clamp(min=1e-6).sqrt().unsqueeze(1)
    duals, biases = [means / lengths], [torch.zeros_like(lengths[:, 0])]
    without = y * (counts > 1)  # a row is taken out of its own class, where the class has others
    left = (g @ y - without * g.diagonal(dim1=1, dim2=2).unsqueeze(2)) / (counts - without)
    held_out = [left / lengths]
    weight = 1 / (y @ counts.mT)  # [b, n, 1]: classes weigh evenly
    weight = weight * n / weight.sum(1, keepdim=True)
    mean = weight / n
    centred = g - (g @ mean) - (g @ mean).mT + mean.mT @ g @ mean
    asked = y - mean.mT @ y
    for penalty in PENALTIES:
        inverse = torch.linalg.inv(centred + penalty * torch.diag_embed(1 / weight.squeeze(2)))
        dual = inverse @ asked
        held_out.append(asked - dual / inverse.diagonal(dim1=1, dim2=2).unsqueeze(2))
        dual = dual - mean * dual.sum(1, keepdim=True)  # of rows that are not centred
        duals.append(dual)
        biases.append((mean.mT @ y - mean.mT @ g @ dual).squeeze(1))
    return torch.stack(duals), torch.stack(biases), held_out


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
    from quickstudy.encoders.encoder import encoder

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, default=Path("runs/classify/features"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("QUICKSTUDY_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, default=Path("runs/classify/in-context-head"))
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--every", type=int, default=500)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--depth", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    train(given)


if __name__ == "__main__":
    main()
