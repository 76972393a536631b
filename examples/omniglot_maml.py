"""MAML on Omniglot, 5-way 1-shot: train, test on characters never seen, apply the result to one task.

    python examples/omniglot_maml.py                 # about 5 minutes on two cores
    python examples/omniglot_maml.py --steps 4000    # better

The data: a folder with omniglot/ in it, named by QUICKSTUDY_DATA; otherwise downloaded (13 MB).
"""

import argparse

import torch

import quickstudy as qs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=800, help="outer steps")
parser.add_argument("--test-tasks", type=int, default=1000, help="tasks of the final test")
parser.add_argument("--out", default=None, help="run folder; an unfinished run there is resumed (default: none)")
given = parser.parse_args()

# What is to be learned. A task: tell five characters apart after seeing one drawing of each. The three splits hold
# different characters, so validation and test measure learning, not remembering.
train, val = (qs.tasks.Omniglot(split=split, way=5, shot=1, query=5) for split in ("train", "val"))
test = qs.tasks.Omniglot(split="test", way=5, shot=1, query=15)

# What learns: a start for this network from which one gradient step of size 0.4 solves a task.
torch.manual_seed(0)
learner = qs.MAML(qs.nets.Conv4(filters=32), inner_lr=0.4, inner_steps=1)


def show(now: qs.Progress) -> None:
    if now.step % 50 == 0 or now.step == now.steps:
        accuracy = now.metrics["accuracy"]
        print(f"step {now.step}/{now.steps}: training accuracy {accuracy:.1%}")


run = qs.train(
    learner,
    train,
    steps=given.steps,
    meta_batch=8,
    meta_lr=3e-3,
    schedule="cosine",
    clip=10.0,
    validation=val,
    validate_every=200,
    validation_tasks=min(100, given.test_tasks),
    out=given.out,
    resume=given.out is not None,
    progress=show,
)

# Accuracy on unseen characters after 0, 1, 2 and 3 inner steps. Without any step it is that of guessing.
result = qs.evaluate(learner, test, n_tasks=given.test_tasks, steps=3)
for score in result.by_step:
    print(f"after {score.step} steps: {score.mean:.1%} ± {score.ci95:.1%}")
print(result)

# One task by hand: adapt to its five support drawings, then ask about its 75 queries.
task = test.sample(1, seed=7)
with torch.no_grad():
    solver = learner.adapt(task.support)
    guesses = solver(task.query.x).argmax(-1)
print(f"one task: {int((guesses == task.query.y).sum())} of {guesses.numel()} queries right")
