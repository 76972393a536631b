"""quickstudy beside its peers: the same meta-gradients, checked, then timed side by side.

    pip install -c constraints.txt -e '.[peers]'
    python benchmarks/peers.py                                   # check and time everything
    python benchmarks/peers.py --only W1,W3 --rounds 7 --json peers.json
    python benchmarks/peers.py --only W1 --rounds 0 --memory     # check, and peak memory in processes of their own

First every contender's gradient is compared, in float64 and on a small net with BatchNorm, with that of a plain loop
over the tasks. Then the contenders take turns: in each round each is timed once, in an order that rotates. Peers run
with torch's default number of threads and again with one; the faster counts. A peer whose gradient is wrong is shown
but does not count as the fastest. At the end: the time that the multiply-adds alone would take on this machine.

Peers: higher, torchopt, parallel-metalearn, and plain PyTorch. learn2learn is missing because it cannot be installed
on Python 3.11 or later: the C code in its last release (0.2.0, 2023) asks for a header that Python no longer has.
"""

import argparse
import json
import statistics
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

import measure
from contenders import PLAIN, Contender, Step, contenders
from quickstudy.cli.terminal import table
from workloads import WORKLOADS, Workload, meta_gradient_macs


@dataclass
class Entry:
    """A contender with a number of threads, and what was measured."""

    contender: Contender
    threads: int
    step: Step
    first: float
    calls: int = 1
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def quietly(call: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        # Peers warn of things that do not change what they compute: operations without a batching rule (a loop takes
        # their place), backward with create_graph, deprecated names.
        warnings.simplefilter("ignore")
        return call()


def attempt(call: Callable[[], Any]) -> tuple[Any, str]:
    """The result, or why there is none: a peer that fails is reported, the others go on."""
    try:
        return quietly(call), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:80]}"


def check(work: Workload, taking_part: list[Contender], tasks: int, filters: int) -> dict[str, dict[str, Any]]:
    """Relative error of each contender's gradient to the plain loop's, in float64, on a smaller workload."""
    small = replace(work, tasks=min(work.tasks, tasks), filters=min(work.filters, filters))
    torch.set_default_dtype(torch.float64)
    try:
        everybody = {c.name: c for c in contenders(small)}
        names = {c.like or PLAIN for c in taking_part}
        references = {name: _flat(_one_gradient(everybody[name], small)) for name in names}
        found: dict[str, dict[str, Any]] = {}
        for contender in taking_part:
            result, failure = attempt(lambda contender=contender: _flat(_one_gradient(contender, small)))
            # A remark explains an error; where there is none it has nothing to say.
            remark = f": {contender.remark}" if contender.remark else ""
            if failure:
                found[contender.name] = {"error": None, "right": False, "verdict": failure + remark}
                continue
            reference = references[contender.like or PLAIN]
            error = float((result - reference).norm() / reference.norm())
            right = error < contender.tolerance
            verdict = "DIFFERS" if not right else "reference" if contender.name in references else "ok"
            told = remark if error > 1e-9 or contender.like else ""
            found[contender.name] = {"error": error, "right": right, "verdict": verdict + told}
        return found
    finally:
        torch.set_default_dtype(torch.float32)


def _one_gradient(contender: Contender, work: Workload) -> list[torch.Tensor]:
    return contender.prepare(work, work.net(torch.float64), work.batch(torch.float64))()


def _flat(gradient: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([g.detach().flatten() for g in gradient])


def time_side_by_side(work: Workload, taking_part: list[Contender], rounds: int, at_least: float) -> list[Entry]:
    """Each contender once per round, ours with torch's default threads, the others also with one."""
    batch, default = work.batch(), torch.get_num_threads()
    entries: list[Entry] = []
    for contender in taking_part:
        for threads in [default] if contender.ours or default == 1 else [default, 1]:
            with measure.threads(threads):
                step, failure = attempt(lambda c=contender: c.prepare(work, work.net(), batch))
                if not failure:
                    first, failure = attempt(lambda step=step: measure.seconds(step))
            if failure:
                print(f"{contender.name} does not run: {failure}")
                break
            entries.append(Entry(contender, threads, step, first))
    for entry in entries:
        with measure.threads(entry.threads):
            again = quietly(lambda entry=entry: measure.seconds(entry.step))
        # Short ones are repeated, so that the clock and a cold cache do not count.
        entry.calls = max(1, round(at_least / again))
    for turn in range(rounds):
        for entry in entries[turn % len(entries) :] + entries[: turn % len(entries)]:
            with measure.threads(entry.threads):
                entry.seconds.append(quietly(lambda entry=entry: measure.seconds(entry.step, entry.calls)))
    return entries


def best_peer(entries: list[Entry], errors: dict[str, dict[str, Any]]) -> Entry | None:
    right = [e for e in entries if not e.contender.ours and errors[e.contender.name]["right"]]
    return min(right, key=lambda e: e.median, default=None)


def show_times(entries: list[Entry], errors: dict[str, dict[str, Any]], limit: dict[str, float]) -> dict[str, Any]:
    peer = best_peer(entries, errors)
    rows: list[list[str]] = []
    for entry in sorted(entries, key=lambda e: e.median):
        ratio = f"{entry.median / peer.median:.2f}" if peer else "-"
        wrong = "" if errors[entry.contender.name]["right"] else "gradient differs: not counted"
        times = [f"{1000 * t:.1f}" for t in (entry.first, entry.median, min(entry.seconds))]
        over = f"{entry.median / limit['convolution']:.1f}"
        rows.append([entry.contender.name, str(entry.threads), *times, ratio, over, wrong])
    header = ["contender", "threads", "first ms", "median ms", "best ms", "/ fastest peer", "/ limit (conv)", ""]
    print(table(rows, header), flush=True)
    if peer:
        for entry in entries:
            if entry.contender.ours:
                factor = peer.median / entry.median
                print(f"{entry.contender.name}: {factor:.2f} times as fast as the fastest peer, {peer.contender.name}")
    keep = ("threads", "first", "median", "seconds", "calls")
    return {
        "fastest_peer": peer.contender.name if peer else None,
        "times": [{"contender": e.contender.name, **{k: getattr(e, k) for k in keep}} for e in entries],
    }


def show_memory(key: str, taking_part: list[Contender], given: argparse.Namespace) -> dict[str, Any]:
    """The peak over what was resident before the first call, each in a process of its own, torch's default threads."""
    found: dict[str, Any] = {}
    rows: list[list[str]] = []
    for contender in taking_part:
        result = measure.in_child(["--memory-of", key, contender.name, *_sizes(given)])
        found[contender.name] = result
        figures = [f"{result[k]:.0f}" for k in ("peak_mib", "first_use_mib")] if "peak_mib" in result else ["-", "-"]
        rows.append([contender.name, *figures, result.get("error", "")])
    print(table(rows, ["contender", "peak MiB", "first use MiB", ""]), flush=True)
    return found


def _sizes(given: argparse.Namespace) -> list[str]:
    """The options that change a workload, for a child process."""
    options = {"--tasks": given.tasks, "--filters": given.filters, "--size": given.size}
    return [text for name, value in options.items() if value for text in (name, str(value))]


def sized(work: Workload, given: argparse.Namespace) -> Workload:
    changes = {name: value for name in ("tasks", "filters", "size") if (value := getattr(given, name)) is not None}
    return replace(work, **changes)


def named(work: Workload, given: argparse.Namespace) -> list[Contender]:
    """Those whose name holds one of ``--contenders``, without those whose name holds one of ``--leave-out``."""

    def holds(name: str, parts: str) -> bool:
        return any(part in name for part in parts.split(",") if part)

    everybody = contenders(work)
    asked = [c for c in everybody if holds(c.name, given.contenders)] if given.contenders else everybody
    return [c for c in asked if not holds(c.name, given.leave_out)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(WORKLOADS), help="workloads, or the start of their names: W2,W3-5")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender (0: no timing)")
    parser.add_argument("--at-least", type=float, default=0.2, help="seconds per turn; short calls are repeated")
    parser.add_argument("--memory", action="store_true", help="measure the peak memory, too")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--contenders", default="", help="parts of names of those who take part: quickstudy,higher")
    parser.add_argument("--leave-out", default="", help="parts of names of those who do not")
    parser.add_argument("--tasks", type=int, help="tasks per batch, in place of the workload's")
    parser.add_argument("--filters", type=int, help="of Conv4, in place of 64")
    parser.add_argument("--size", type=int, help="of the images, in place of 28")
    parser.add_argument("--check-tasks", type=int, default=4, help="tasks of the gradient check, at most")
    parser.add_argument("--check-filters", type=int, default=8, help="filters of the gradient check, at most")
    parser.add_argument("--memory-of", nargs=2, metavar=("WORKLOAD", "CONTENDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()

    if given.memory_of:
        key, name = given.memory_of
        work = sized(WORKLOADS[key], given)
        contender = next(c for c in contenders(work) if c.name == name)
        print(json.dumps(quietly(lambda: measure.memory_of(lambda w: contender.prepare(w, w.net(), w.batch()), work))))
        return

    here = measure.machine()
    print(", ".join(f"{name} {value}" for name, value in here.items()), flush=True)
    speed = measure.rates()
    for name, rate in speed.items():
        print(f"{name}: {rate / 1e9:.0f} thousand million multiply-adds a second")
    report: dict[str, Any] = {"machine": here, "rates": speed, "workloads": {}}
    asked = given.only.split(",")
    for key in [k for k in WORKLOADS if any(k == a or k.startswith(f"{a}-") for a in asked)]:
        work = sized(WORKLOADS[key], given)
        macs = meta_gradient_macs(work)
        limit = {name: macs / rate for name, rate in speed.items()}
        print(f"\n{key}: {work}", flush=True)
        bounds = " or ".join(f"{1000 * seconds:.2f} ms ({name})" for name, seconds in limit.items())
        print(f"limit: {macs / 1e9:.3g} thousand million multiply-adds, at the rates above {bounds}", flush=True)
        taking_part = named(work, given)
        errors = check(work, taking_part, given.check_tasks, given.check_filters)
        rows = [[n, "-" if e["error"] is None else f"{e['error']:.1e}", e["verdict"]] for n, e in errors.items()]
        print(table(rows, ["contender", "relative error", ""]), flush=True)
        result: dict[str, Any] = {"macs": macs, "limit": limit, "gradient_errors": errors}
        timed = [c for c in taking_part if not c.only_checked]
        if given.rounds:
            result |= show_times(time_side_by_side(work, timed, given.rounds, given.at_least), errors, limit)
        if given.memory:
            result["memory"] = show_memory(key, timed, given)
        report["workloads"][key] = result
        if given.json:  # after each, so that a long run that is cut off leaves what it has
            given.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
