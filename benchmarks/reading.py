"""How fast memories read: an episode forward and backward, beside a plain implementation of the same equations.

    python benchmarks/reading.py                       # check, time and tabulate everything
    python benchmarks/reading.py --rounds 20 --leave-out compile --json reading.json

The plain implementation is written from the paper as public ones are: a module per head, one head after the other, one
step after the other, all derivatives by autograd. First it is given the same weights, and outputs and gradients are
compared in float64. Then the contenders take turns: in each round each is timed once, in an order that rotates. At the
end: what a step costs with more slots, and a sequence with more steps.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import measure
import quickstudy as qs
from contenders.lrua import PlainLRUA
from quickstudy.cli.terminal import table
from quickstudy.nets.memory.cells import Cell, read
from quickstudy.nets.memory.lrua import lrua_step
from quickstudy.nets.memory.ntm import ntm_step

SMALL = 1e-6
Reader = Callable[[Tensor], Tensor]
"""From ``x [n, steps, f]`` to the outputs ``[n, steps, out]``."""


class PlainHead(nn.Module):
    """Addressing by content and by location, of one head."""

    def __init__(self, hidden: int, width: int, shift: int, *, writes: bool) -> None:
        super().__init__()
        self.writes = writes
        self.shift = shift
        self.key = nn.Linear(hidden, width)
        self.strength = nn.Linear(hidden, 1)
        self.gate = nn.Linear(hidden, 1)
        self.shifts = nn.Linear(hidden, 2 * shift + 1)
        self.gamma = nn.Linear(hidden, 1)
        if writes:
            self.erase = nn.Linear(hidden, width)
            self.add = nn.Linear(hidden, width)

    def address(self, h: Tensor, memory: Tensor, before: Tensor) -> Tensor:
        key = torch.tanh(self.key(h)).unsqueeze(1)
        strength, gate = F.softplus(self.strength(h)), torch.sigmoid(self.gate(h))
        shifts, gamma = F.softmax(self.shifts(h), 1), 1 + F.softplus(self.gamma(h))
        lengths = ((key**2).sum(-1) + SMALL**2).sqrt() * ((memory**2).sum(-1) + SMALL**2).sqrt()
        content = F.softmax(strength * (key * memory).sum(-1) / lengths, 1)
        mixed = gate * content + (1 - gate) * before
        moved = torch.zeros_like(mixed)
        for j in range(-self.shift, self.shift + 1):
            moved = moved + shifts[:, j + self.shift : j + self.shift + 1] * torch.roll(mixed, j, 1)
        sharp = (moved + 1e-16) ** gamma
        return sharp / sharp.sum(1, keepdim=True)

    def forward(self, h: Tensor, memory: Tensor, weights: Tensor) -> Tensor:
        if not self.writes:
            return torch.bmm(weights.unsqueeze(1), memory).squeeze(1)
        erase, add = torch.sigmoid(self.erase(h)), torch.tanh(self.add(h))
        kept = memory * (1 - weights.unsqueeze(2) * erase.unsqueeze(1))
        return kept + weights.unsqueeze(2) * add.unsqueeze(1)


class PlainNTM(nn.Module):
    """One read head, one write head and an LSTM."""

    def __init__(self, in_features: int, hidden: int, slots: int, width: int) -> None:
        super().__init__()
        self.slots, self.width, self.hidden = slots, width, hidden
        self.controller = nn.LSTMCell(in_features + width, hidden)
        self.reading = PlainHead(hidden, width, 1, writes=False)
        self.writing = PlainHead(hidden, width, 1, writes=True)

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        memory = torch.full((n, self.slots, self.width), 1e-6, dtype=x.dtype)
        w_read = torch.zeros(n, self.slots, dtype=x.dtype)
        w_read[:, 0] = 1
        w_write = w_read
        r = torch.zeros(n, self.width, dtype=x.dtype)
        h = c = torch.zeros(n, self.hidden, dtype=x.dtype)
        outputs: list[Tensor] = []
        for step in x.unbind(1):
            h, c = self.controller(torch.cat([step, r], 1), (h, c))
            w_read = self.reading.address(h, memory, w_read)
            w_write = self.writing.address(h, memory, w_write)
            r = self.reading(h, memory, w_read)
            memory = self.writing(h, memory, w_write)
            outputs.append(torch.cat([h, r], 1))
        return torch.stack(outputs, 1)

    def take(self, ours: qs.nets.NTM, *, gradients: bool = False) -> dict[str, Tensor]:
        """The weights of ours (or their gradients), by the names they have here."""
        value = (lambda p: p.grad) if gradients else (lambda p: p.detach())
        c, d = self.hidden, self.width

        def gates(w: Tensor) -> Tensor:  # torch's order: in, forget, new, out
            return torch.cat([w[: 2 * c], w[3 * c :], w[2 * c : 3 * c]])

        before = gates(value(ours.from_before.weight))
        found = {
            "controller.weight_ih": torch.cat([gates(value(ours.from_input.weight)), before[:, :d]], 1),
            "controller.weight_hh": before[:, d:],
            "controller.bias_ih": gates(value(ours.from_input.bias)),
            "controller.bias_hh": gates(value(ours.from_input.bias)) * float(gradients),
        }
        sizes = {"key": (d, d), "add": (d,), "erase": (d,), "gate": (1, 1), "strength": (1, 1), "gamma": (1, 1)}
        at = 0
        for name, widths in {**sizes, "shifts": (3, 3)}.items():
            for i, width in enumerate(widths):
                head = "writing" if len(widths) == 1 or i == 1 else "reading"
                rows = slice(at, at + width)
                found[f"{head}.{name}.weight"] = value(ours.heads.weight)[rows]
                found[f"{head}.{name}.bias"] = value(ours.heads.bias)[rows]
                at += width
        return found


@dataclass
class Workload:
    """What is read, and by whom. The first contender is ours, the second what it is measured against."""

    name: str
    x: Tensor
    contenders: dict[str, Reader]


def ntm_workload(n: int, steps: int, leave_out: str) -> Workload:
    """A neural Turing machine of the paper's size: 128 slots of 20, an LSTM of 100."""
    torch.manual_seed(0)
    ours = qs.nets.NTM(16)
    plain = PlainNTM(16, ours.hidden_size, ours.slots, ours.slot_width)
    return workload(f"NTM, {n} tasks, {steps} steps", ours, plain, ntm_step, ours.heads, (n, steps), leave_out)


def lrua_workload(n: int, steps: int, leave_out: str) -> Workload:
    """MANN's memory at the paper's size, 128 slots of 40, four heads, an LSTM of 200, on 20x20 pixels and 5 labels."""
    torch.manual_seed(0)
    ours = qs.nets.LRUA(405)
    plain = PlainLRUA(405, ours.hidden_size, ours.slots, ours.slot_width, ours.heads, ours.decay)
    name = f"MANN (LRUA), {n} tasks, {steps} steps"
    return workload(name, ours, plain, lrua_step, ours.to_heads, (n, steps), leave_out)


def workload(
    name: str,
    ours: qs.nets.NTM | qs.nets.LRUA,
    plain: Any,
    step: Callable[..., Any],
    heads: nn.Linear,
    shape: tuple[int, int],
    leave_out: str,
) -> Workload:
    """Our net beside a plain one of the same weights, and our own step of it in torch's graph.

    Args:
        name: of the row.
        ours: the net.
        plain: the other.
        step: one step of ours.
        heads: the layer of ours that makes the heads' parameters.
        shape: tasks and steps of what is read.
        leave_out: contenders in whose names this is are left out (empty: none).
    """
    plain.load_state_dict(plain.take(ours))
    check(ours, plain)

    def by_step(step: Callable[..., Any]) -> Reader:
        def go(x: Tensor) -> Tensor:
            state: Any = ours.start(len(x))
            outputs: list[Tensor] = []
            for part in ours.from_input(x).unbind(1):
                state = step(part, state, ours.from_before.weight, heads.weight, heads.bias, ours.sizes)
                outputs.append(torch.cat([state.hidden, state.reads], 1))
            return torch.stack(outputs, 1)

        return go

    contenders: dict[str, Reader] = {
        "quickstudy": lambda x: read(ours, x)[0],
        "plain, head by head": plain,
        "quickstudy's graph (twice differentiable)": by_step(step),
        "the same, torch.compile of the step": by_step(torch.compile(step)),
    }
    kept = {name: go for name, go in contenders.items() if not leave_out or leave_out not in name}
    return Workload(name, torch.randn(*shape, ours.in_features), kept)


def check(ours: qs.nets.NTM | qs.nets.LRUA, plain: Any) -> None:
    """Outputs and gradients are the same, in float64."""
    ours, plain = ours.double(), plain.double()
    x = torch.randn(2, 12, ours.in_features, dtype=torch.float64)
    outputs = [read(ours, x)[0], plain(x)]
    torch.testing.assert_close(*outputs)
    for y in outputs:
        y.square().sum().backward()
    for name, expected in plain.take(ours, gradients=True).items():
        torch.testing.assert_close(plain.get_parameter(name).grad, expected, rtol=1e-6, atol=1e-9)
    for net in (ours, plain):
        net.float().zero_grad()


WORKLOADS: tuple[Callable[[int, int, str], Workload], ...] = (ntm_workload, lrua_workload)


def forward_and_backward(go: Reader, x: Tensor) -> None:
    go(x).square().sum().backward()


def core_seconds(call: Callable[[], object]) -> float:
    """Of the processor on one thread, so that what else the machine does counts little; else of the clock."""
    if torch.get_num_threads() > 1:
        return measure.seconds(call)
    started = time.process_time()
    call()
    return time.process_time() - started


def race(workload: Workload, rounds: int) -> dict[str, Any]:
    """Medians in milliseconds, and the first call's."""
    names = list(workload.contenders)
    calls = {name: lambda go=go: forward_and_backward(go, workload.x) for name, go in workload.contenders.items()}
    first = {name: measure.seconds(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in names}
    for r in range(rounds):
        for i in range(len(names)):
            name = names[(i + r) % len(names)]
            times[name].append(core_seconds(calls[name]))
    return {
        name: {"ms": 1e3 * statistics.median(times[name]), "first_call_s": first[name]} for name in names if times[name]
    }


def cost(
    make: Callable[[int], Cell], slots: tuple[int, ...], steps: tuple[int, ...], n: int, rounds: int
) -> list[list[str]]:
    """Milliseconds by slots (rows) and steps (columns)."""
    rows: list[list[str]] = []
    for size in slots:
        cell = make(size)
        row = [str(size)]
        for length in steps:
            x = torch.randn(n, length, 16)
            call = lambda x=x, cell=cell: forward_and_backward(lambda x: read(cell, x)[0], x)  # noqa: E731
            call()
            row.append(f"{1e3 * statistics.median(core_seconds(call) for _ in range(rounds)):.1f}")
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--leave-out", default="", help="contenders with this in their name (compile needs a C++ compiler)"
    )
    parser.add_argument("--slots", default="32,64,128,256,512", help="rows of the table of costs ('': none)")
    parser.add_argument("--lengths", default="10,25,50,100,200", help="columns of the table of costs")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, Any] = {"machine": measure.machine(), "races": {}}
    with measure.threads(given.threads):
        for make in WORKLOADS:
            workload = make(given.tasks, given.steps, given.leave_out)
            results = race(workload, given.rounds)
            found["races"][workload.name] = results
            base = results["plain, head by head"]["ms"] if results else 0.0
            rows = [
                [name, f"{r['ms']:.1f}", f"{base / r['ms']:.2f}", f"{r['first_call_s']:.2f}"]
                for name, r in results.items()
            ]
            print(f"{workload.name}, forward and backward, {given.threads} thread(s); same outputs and gradients")
            print(table(rows, ["", "ms (median)", "times as fast as plain", "first call, s"]))
        slots, lengths = (tuple(int(s) for s in text.split(",") if s) for text in (given.slots, given.lengths))
        if slots:
            found["cost_ms"] = {"lengths": lengths}
            for name, kind in (("NTM", qs.nets.NTM), ("LRUA", qs.nets.LRUA)):
                make_cell = lambda size, kind=kind: kind(16, slots=size)  # noqa: E731
                rows = cost(make_cell, slots, lengths, given.tasks, max(1, given.rounds // 3))
                found["cost_ms"][name] = rows
                print(f"\n{name}, {given.tasks} tasks, forward and backward, ms by slots (rows) and steps (columns)")
                print(table(rows, ["slots", *map(str, lengths)]))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
