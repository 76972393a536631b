"""Does iMAML's memory stay flat in the inner steps? The peak of one meta-gradient, beside second-order MAML's.

    python benchmarks/implicit_memory.py

Each measurement is a process of its own. Prints, for 1 to 32 inner steps, by how much the peak resident size lies
above that before the meta-gradient, in MiB.
"""

import argparse
import resource
import subprocess
import sys

import torch

import quickstudy as qs

STEPS = (1, 2, 4, 8, 16, 32)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(learner: str, steps: int, filters: int) -> float:
    """The growth of the peak by one meta-gradient of one task, in MiB."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = qs.nets.Conv4(filters=filters)
    cls = qs.IMAML if learner == "imaml" else qs.MAML
    batch = qs.tasks.Glyphs(query=5).sample(1, seed=0)
    # What is loaded and set up once is not what is asked.
    cls(qs.nets.Conv4(filters=1), inner_steps=1, inner_lr=0.1).meta_gradient(batch)
    before = peak_mib()
    cls(model, inner_steps=steps, inner_lr=0.1).meta_gradient(batch)
    return peak_mib() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--one", nargs=2, metavar=("LEARNER", "STEPS"), help="one measurement, in this process")
    given = parser.parse_args()
    if given.one:
        print(measure(given.one[0], int(given.one[1]), given.filters))
        return
    print(f"one task of 5-way 1-shot with 25 queries (glyphs), {given.filters} filters; MiB above the start")
    print("| inner steps | iMAML | second-order MAML |\n|---|---|---|")
    for steps in STEPS:
        row: list[str] = []
        for learner in ("imaml", "maml"):
            command = [sys.executable, __file__, "--filters", str(given.filters), "--one", learner, str(steps)]
            row.append(f"{float(subprocess.run(command, check=True, capture_output=True, text=True).stdout):.0f}")
        print(f"| {steps} | {row[0]} | {row[1]} |", flush=True)


if __name__ == "__main__":
    main()
