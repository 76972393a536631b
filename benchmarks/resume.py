"""Kill a training run with SIGKILL at random moments, resume it, and compare its weights with an uninterrupted run's.

    python benchmarks/resume.py            # 20 kills, about 3 minutes on two cores

Prints one line per kill and fails (exit code 1) if a single bit of the final weights differs.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import quickstudy as qs

TRAIN = "train maml --tasks glyphs --size 16 --filters 8 --query 5 --meta-batch 8 --checkpoint-every 7 --log-every 3"
TAIL = "--validate-every 20 --validation-tasks 25 --test-tasks 25 --test-query 5"


def quickstudy(*arguments: str) -> "subprocess.Popen[bytes]":
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", "quickstudy", *arguments], stdout=quiet, stderr=quiet)


def train_command(out: Path, steps: int) -> list[str]:
    return [*TRAIN.split(), *TAIL.split(), "--steps", str(steps), "--out", str(out)]


def finished(out: Path, steps: int) -> bool:
    return (out / "config.json").exists() and qs.Run.open(out).steps()[-1:] == [steps]


def wait_for_training(process: "subprocess.Popen[bytes]", metrics: Path) -> None:
    """Until a line is written to ``metrics.jsonl``."""
    before = metrics.stat().st_mtime_ns if metrics.exists() else 0
    while process.poll() is None and (not metrics.exists() or metrics.stat().st_mtime_ns == before):
        time.sleep(0.01)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    folder = Path(tempfile.mkdtemp(prefix="quickstudy-resume-"))
    straight, broken = folder / "straight", folder / "broken"
    started = time.monotonic()
    assert quickstudy(*train_command(straight, given.steps)).wait() == 0
    whole = time.monotonic() - started
    print(f"uninterrupted: {given.steps} steps in {whole:.1f} s (start of the process and test included)", flush=True)

    kills = 0
    while not finished(broken, given.steps):
        resuming = (broken / "config.json").exists()
        process = quickstudy("resume", str(broken)) if resuming else quickstudy(*train_command(broken, given.steps))
        if kills == given.kills:
            assert process.wait() == 0
            break
        # Every fifth kill comes at any moment, most likely while the process starts; the others once it trains.
        if kills % 5:
            wait_for_training(process, broken / "metrics.jsonl")
        moment = rng.uniform(0, 2)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            done = qs.Run.open(broken).steps() if (broken / "config.json").exists() else []
            print(f"kill {kills:2d}; last checkpoint: {f'step {done[-1]}' if done else 'none'}", flush=True)

    one, two = (qs.Run.open(path).load().learner for path in (straight, broken))
    same = all(torch.equal(one[name], two[name]) for name in one)
    print(f"{kills} kills: final weights are {'bit-identical' if same else 'DIFFERENT'}")
    shutil.rmtree(folder)
    return 0 if same and kills == given.kills else 1


if __name__ == "__main__":
    sys.exit(main())
