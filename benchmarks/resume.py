"""Kill a training run with SIGKILL at random moments, resume it, and compare its weights with an uninterrupted run's.

    python benchmarks/resume.py            # 20 kills, about 4 minutes on two cores

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
    print(f"uninterrupted: {given.steps} steps in {whole:.1f} s (start of the process and test included)")

    kills = attempt = 0
    while not finished(broken, given.steps):
        resuming = (broken / "config.json").exists()
        process = quickstudy("resume", str(broken)) if resuming else quickstudy(*train_command(broken, given.steps))
        attempt += 1
        if kills == given.kills:
            assert process.wait() == 0
            break
        at = qs.Run.open(broken).steps()[-1:] if resuming else []
        moment = rng.uniform(0.3, 1.0) * 9.0
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            now = qs.Run.open(broken).steps()[-1:] if (broken / "config.json").exists() else []
            print(f"kill {kills:2d} after {moment:.2f} s; last checkpoint {at or '-'} -> {now or '-'}", flush=True)

    one, two = (qs.Run.open(path).load().learner for path in (straight, broken))
    same = all(torch.equal(one[name], two[name]) for name in one)
    print(f"{kills} kills, {attempt} processes: final weights are {'bit-identical' if same else 'DIFFERENT'}")
    shutil.rmtree(folder)
    return 0 if same and kills == given.kills else 1


if __name__ == "__main__":
    sys.exit(main())
