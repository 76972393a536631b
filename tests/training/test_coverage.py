"""Of intervals drawn again and again 95 in 100 hold the true mean, whatever the tasks of a batch share."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.core.learner import MetaLearner
from quickstudy.learners import SupportQueryLearner
from quickstudy.training.evaluation import draws
from quickstudy.training.intervals import half_width


class Judge(MetaLearner):
    """Learns nothing; the score of each task is a function of the batch."""

    def __init__(self, judge):
        super().__init__()
        self.judge = judge
        self.w = nn.Parameter(torch.zeros(()))

    def adapt(self, support):
        raise NotImplementedError

    def meta_loss(self, batch):
        raise NotImplementedError

    def score_tasks(self, batch, at):
        scores = self.judge(batch)
        return scores.expand(2, len(at), -1)

    def score_name(self, batch):
        return "score"


class NearestMean(SupportQueryLearner):
    """Classifies by the mean of each class's support examples."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))

    def adapt(self, support):
        member = nn.functional.one_hot(support.y).to(support.x)
        means = member.mT @ support.x / member.sum(1).unsqueeze(-1)
        return lambda x: -torch.cdist(x, means)


def exact(gp):
    def judge(batch):
        mean, std = gp.exact(batch.support, batch.query.x).unbind(-1)
        return -torch.distributions.Normal(mean, std).log_prob(batch.query.y).mean((1, 2))

    return Judge(judge)


def forgetful(batch):
    """Share of wrong bits of a memory that answers well after short sequences only, with zeros after longer ones."""
    return (batch.query.y != 0).float().mean((1, 2)) * (batch.support.x.shape[1] + batch.query.x.shape[1] > 18)


def nearest_point(batch):
    """Squared error of the value at the nearest support point."""
    near = (batch.query.x - batch.support.x.mT).abs().argmin(-1)
    return (batch.support.y.gather(1, near[..., None]) - batch.query.y).square().mean((1, 2))


def first_loss(batch):
    return batch.held_loss(batch.start).log()


GP = qs.tasks.GaussianProcesses(split="test")
CASES = {
    "gp": (GP, exact(GP)),
    "tabular": (qs.tasks.TabularPrior(split="test", way=5, shot=5, query=8, features=8), NearestMean()),
    "problems": (qs.tasks.Problems(split="test", examples=16, families=("quadratic", "logistic")), Judge(first_loss)),
    "copy": (qs.tasks.Copy(split="test", bits=4), Judge(forgetful)),
    "repeat-copy": (qs.tasks.RepeatCopy(split="test", bits=4), Judge(forgetful)),
    "recall": (qs.tasks.AssociativeRecall(split="test", items=(2, 3)), Judge(forgetful)),
    "sinusoids, 1 to 10 shots": (qs.tasks.Sinusoids(split="test", shot=(1, 10)), Judge(nearest_point)),
    "sinusoids, 5 shots": (qs.tasks.Sinusoids(split="test", shot=5), Judge(nearest_point)),
}
INDEPENDENT = ("sinusoids, 5 shots",)
POOL, N_TASKS, TIMES = 800, 201, 4000


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_intervals_hold_the_true_mean_as_often_as_they_say(name):
    """Evaluations are put together from the draws of a large one, whose mean is the true one."""
    tasks, learner = CASES[name]
    large = qs.evaluate(learner, tasks, n_tasks=POOL, workers=1)
    scores = torch.tensor(large.scores, dtype=torch.float64).view(large.draws, -1)
    sizes = [draw.size for draw in draws(tasks, N_TASKS, 0)] if large.shares else [1] * N_TASKS
    chosen = torch.randint(len(scores), (TIMES, len(sizes)), generator=torch.Generator().manual_seed(0))
    values = scores[chosen].flatten(1)[:, :N_TASKS]  # the last draw is of one task
    covered = ((values.mean(1) - scores.mean()).abs() <= half_width(values, sizes)).double().mean()
    assert 0.93 <= covered <= 0.97
    assert (large.shares == ()) == (name in INDEPENDENT)
    if name in ("gp", "copy"):  # as if tasks were independent it would not do
        assert ((values.mean(1) - scores.mean()).abs() <= half_width(values)).double().mean() < 0.9
