"""Few-shot regression: MAML and Reptile learn to fit a sine wave from ten of its points.

    python examples/sinusoids.py

Compared with a network trained on all waves at once and then fine-tuned in the same way: it learns their average,
which is close to zero everywhere, and a few steps from there lead nowhere.
"""

import argparse

import torch

import quickstudy as qs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=5000, help="outer steps of each learner")
parser.add_argument("--test-tasks", type=int, default=600, help="tasks of the final test")
given = parser.parse_args()

# y = amplitude * sin(x - phase), ten points to learn from. Reptile trains on support and query together, so it is
# given ten query points too.
train = qs.tasks.Sinusoids(split="train", shot=10, query=10)
test = qs.tasks.Sinusoids(split="test", shot=10, query=50)


def network(seed: int = 0) -> qs.nets.MLP:
    torch.manual_seed(seed)
    return qs.nets.MLP(in_features=1, out_features=1, hidden=(40, 40))


maml = qs.MAML(network(), inner_lr=0.01, inner_steps=1, loss="mse")
qs.train(maml, train, steps=given.steps, meta_batch=25, meta_lr=1e-3)

reptile = qs.Reptile(network(), inner_optimizer="sgd", inner_lr=0.02, inner_steps=10, inner_batch=10, loss="mse")
qs.train(reptile, train, steps=given.steps, meta_batch=5, meta_lr=0.1, optimizer="sgd", schedule="linear")

# The comparison: ordinary training on the points of all tasks, which is MAML without any inner step.
pretrained = network()
no_steps = qs.MAML(pretrained, inner_steps=0, loss="mse")
qs.train(no_steps, train, steps=given.steps, meta_batch=25, meta_lr=1e-3)
fine_tuned = qs.MAML(pretrained, inner_lr=0.01, loss="mse")

# The mean squared error on new waves, before and after fine-tuning on ten points.
after = (0, 1, 5, 10)
print(f"{'':12}" + "".join(f"{f'{step} steps':>10}" for step in after))
for name, learner in (("MAML", maml), ("Reptile", reptile), ("pretrained", fine_tuned)):
    result = qs.evaluate(learner, test, n_tasks=given.test_tasks, steps=10, at=after)
    print(f"{name:12}" + "".join(f"{score.mean:10.2f}" for score in result.by_step))
