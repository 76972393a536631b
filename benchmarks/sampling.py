"""How long episodes of colour images take on one core: 32 tasks of 5-way 5-shot 15-query, 84x84.

    python benchmarks/sampling.py
    python benchmarks/sampling.py --crop 8 --flip --jitter 0.4   # with augmentation

38,400 images of noise, as many as miniImageNet has for training, from memory and from a file that is mapped. Prints the
median and the least of the batches, in milliseconds of the core (what else runs on the machine does not count, but for
what it takes of the caches), and per image. A float32 batch has 271 MB, so memory's speed bounds it.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import quickstudy as qs
from results import add_result_row


def milliseconds(tasks: qs.tasks.Episodes, rounds: int) -> list[float]:
    tasks.sample(32, 0)
    found: list[float] = []
    for seed in range(1, rounds + 1):
        started = time.process_time()
        tasks.sample(32, seed)
        found.append(1e3 * (time.process_time() - started))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--images", type=int, default=38400)
    parser.add_argument("--crop", type=int, default=0)
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--write", action="store_true", help="into results/sampling.csv")
    given = parser.parse_args()
    torch.set_num_threads(1)
    shape = (given.images, 3, 84, 84)
    images = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    labels = np.arange(given.images) // max(20, given.images // 64)
    options: dict[str, Any] = {"crop": given.crop, "flip": given.flip, "jitter": given.jitter}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npy"
        np.save(file, images)
        for where, held in (("memory", images), ("a mapped file", np.load(file, mmap_mode="r"))):
            found = milliseconds(qs.tasks.Episodes(held, labels, way=5, shot=5, query=15, **options), given.rounds)
            median, least = statistics.median(found), min(found)
            print(f"{where}: median {median:.0f} ms, least {least:.0f} ms; {1e3 * median / 3200:.1f} us an image")
            if given.write:
                row: dict[str, Any] = {"learner": "", "tasks": "episodes 84x84x3", "setting": "5w5s", "seed": 0}
                add_result_row(
                    *("sampling",), **row, options={**options, "images": where.replace(" ", "-")}, n_tasks=32,
                    metric="milliseconds_per_batch", mean=median, ci95=None,
                )  # fmt: skip


if __name__ == "__main__":
    main()
