"""Is memory flat? Resident size of a process over 500 outer steps of second-order MAML.

    python benchmarks/peak_memory.py

Prints current and peak resident size every 50 steps, and the growth of the peak after step 100.
"""

import argparse
import resource
from pathlib import Path

import torch

import quickstudy as qs


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--meta-batch", type=int, default=8)
    parser.add_argument("--learner", choices=("maml", "reptile"), default="maml")
    given = parser.parse_args()
    torch.manual_seed(0)
    model = qs.nets.Conv4(filters=given.filters)
    learner = qs.MAML(model, inner_lr=0.4) if given.learner == "maml" else qs.Reptile(model, inner_batch=10)
    peaks: dict[int, float] = {}

    def watch(now: qs.Progress) -> None:
        if now.step % 50 == 0:
            peaks[now.step] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"step {now.step:5d}: resident {resident_mib():7.1f} MiB, peak {peaks[now.step]:7.1f} MiB", flush=True
            )

    print(
        f"{given.learner}, {given.filters} filters, {given.meta_batch} tasks of 5-way 1-shot with 25 queries (glyphs)"
    )
    tasks = qs.tasks.Glyphs(query=5)
    qs.train(learner, tasks, steps=given.steps, meta_batch=given.meta_batch, progress=watch)
    print(f"growth of the peak from step 100 to {max(peaks)}: {peaks[max(peaks)] - peaks[100]:.1f} MiB")


if __name__ == "__main__":
    main()
