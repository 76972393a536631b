"""Generated solvers beside gradient descent: accuracy, further steps, calibration, and speed.

    python benchmarks/generative.py --solvers --budget 600 --out runs/generative   # one core, 15 rows: about 3 hours
    python benchmarks/generative.py --solvers --settings sinusoids --out runs/generative
    python benchmarks/generative.py --speed --settings sinusoids 5w1s              # a minute
    python benchmarks/generative.py --table --out runs/generative                  # print what is there

``--solvers`` trains MAML, the plain hypernetwork and the solver GAN for ``--budget`` seconds of one core each (the rate
is measured for a moment, and the run gets as many outer steps as fit; everything else is the learner's quick preset)
and tests them on 1000 tasks: the score of what was generated and after 1 and 5 further gradient steps (their size is
chosen on validation tasks, for each learner), and calibration and likelihood of what ``adapt`` gives (MAML: after its
own steps). Sinusoids are learned from 1 to 10 points and tested on 1, 2, 5 and 10; the noise that turns values into a
likelihood is chosen on validation tasks for each number of points, for each learner. Rows that are in results.jsonl are
not run again. A run that stopped because the GAN failed is measured as its last checkpoint is, and marked.
"""

import argparse
from pathlib import Path

import torch

from omniglot import SETTINGS
from rows import is_done, read
from solvers import LEARNERS, one_row, print_solvers, print_speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solvers", action="store_true", help="train and test what is not there yet")
    parser.add_argument("--speed", action="store_true", help="solvers per second")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    settings = ("sinusoids", *SETTINGS)
    parser.add_argument("--settings", nargs="+", choices=settings, default=settings)
    parser.add_argument("--learners", nargs="+", choices=LEARNERS, default=LEARNERS)
    parser.add_argument("--seeds", nargs="+", type=int, default=(0,))
    parser.add_argument("--budget", type=float, default=600.0, help="seconds of training of each row, on one core")
    parser.add_argument("--n-tasks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15, help="of --speed")
    parser.add_argument("--out", type=Path, default=Path("runs/generative"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.speed:
        print_speed(given.settings, given.rounds)
    for seed in given.seeds if given.solvers else ():
        for setting in given.settings:
            for learner in given.learners:
                row = {"learner": learner, "setting": setting, "budget": given.budget, "seed": seed}
                if not is_done(row, given.out):
                    one_row(row, given.out, given.n_tasks)
    if given.solvers or given.table:
        print_solvers([record for record in read(given.out) if record["learner"] in LEARNERS])


if __name__ == "__main__":
    main()
