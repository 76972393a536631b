"""A point learns to find a goal that it does not see: MAML for reinforcement learning, in under 3 minutes.

python examples/navigation.py
python examples/navigation.py --iterations 10 --test-tasks 10   # a glance
"""

import argparse

import torch

import quickstudy as qs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--iterations", type=int, default=80, help="outer steps of each policy")
parser.add_argument("--test-tasks", type=int, default=40, help="goals of the final test")
given = parser.parse_args()

# A task is a goal. The point sees where it is, and is paid by how near the goal it is; 100 steps make an episode.
train = qs.tasks.Navigation(split="train", reward="distance")
test = qs.tasks.Navigation(split="test", reward="distance")

# Thousands of episodes run as tensors: here 40 goals, 20 episodes of each, and a policy that moves at random.
goals = train.sample(40, seed=0)
state, place = goals.reset(episodes=20, seed=0)
total = torch.zeros(40, 20)
for _ in range(100):
    state, place, reward, done = goals.step(state, torch.randn(40, 20, 2))
    total += reward
print(f"at random: return {total.mean():.1f}")


def policy(inner_steps: int) -> qs.MAMLRL:
    torch.manual_seed(0)
    return qs.MAMLRL(in_features=2, out_features=2, hidden=(64, 64), inner_steps=inner_steps, credit="own")


# Each outer step: 10 goals, 20 episodes of each before and 20 after a gradient step, and a trust-region step (TRPO),
# which is why the optimizer takes what it is given: optimizer="sgd", meta_lr=1.
outer = {"meta_batch": 10, "meta_lr": 1.0, "optimizer": "sgd"}
maml = policy(inner_steps=1)
qs.train(maml, train, steps=given.iterations, **outer)

# The comparison: one policy for all goals, which is MAML without any inner step; it takes them in the test only.
pretrained = policy(inner_steps=0)
qs.train(pretrained, train, steps=given.iterations, **outer)
fine_tuned = policy(inner_steps=1)
fine_tuned.load_state_dict(pretrained.state_dict())

# Returns on new goals, before and after updates on 20 episodes each.
print(f"{'':12}" + "".join(f"{f'{step} updates':>12}" for step in range(4)))
for name, learner in (("MAML", maml), ("pretrained", fine_tuned)):
    result = qs.evaluate(learner, test, n_tasks=given.test_tasks, steps=3)
    print(f"{name:12}" + "".join(f"{score.mean:12.1f}" for score in result.by_step))
