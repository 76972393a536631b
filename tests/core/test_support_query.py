"""What a learner gets from the interface: all of it, with ``adapt`` alone; and what each can say otherwise."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.functional import TaskModel
from quickstudy.learners import MetaLearner, SupportQueryLearner
from quickstudy.testing import check_learner


class MeanOfSupport(SupportQueryLearner):
    """A regression by the mean of the support targets, times a weight."""

    loss = "mse"

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.full((), 0.5))

    def adapt(self, support):
        mean = support.y.nanmean(1, keepdim=True)  # nan is padding
        return lambda x: mean.expand(*x.shape[:2], -1) * self.w


class Through(MeanOfSupport):
    """The same, said to run a network with BatchNorm."""

    def __init__(self, **options):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2))
        self.runs = TaskModel(self.net, "support", **options)

    @property
    def task_model(self):
        return self.runs


SINUSOIDS = qs.tasks.Sinusoids(shot=4, query=3)


def test_adapt_is_all_there_is_to_write():
    learner = MeanOfSupport()
    check_learner(learner, SINUSOIDS)
    assert (learner.tasks_at_once, learner.bn_mode, learner.adapt_steps) == (None, "none", None)
    result = qs.evaluate(learner, SINUSOIDS, n_tasks=3)
    assert (result.metric, len(result.by_step)) == ("mse", 1)


def test_scores_losses_and_the_meta_loss_by_hand():
    learner, batch = MeanOfSupport(), SINUSOIDS.sample(3, 0)
    errors = (0.5 * batch.support.y.mean(1, keepdim=True) - batch.query.y).square().mean((1, 2))
    torch.testing.assert_close(learner.score_tasks(batch, [0]).detach(), errors.expand(2, 1, 3))
    loss, metrics = learner.meta_loss(batch)
    torch.testing.assert_close(loss.detach(), errors.mean())
    assert set(metrics) == {"loss", "mse"}
    found = learner.meta_gradient(batch).gradients[0]
    m = batch.support.y.mean(1, keepdim=True)
    torch.testing.assert_close(found, (2 * (0.5 * m - batch.query.y) * m).mean())


def test_the_network_says_how_many_tasks_at_once_and_how_batchnorm_goes_and_chunk_has_the_last_word():
    learner = Through(execution="threads")
    assert (learner.tasks_at_once, learner.bn_mode) == (learner.runs.tasks_at_once, "support")
    assert learner.runs.tasks_at_once == 1
    assert Through(execution="loop").tasks_at_once is None
    learner.chunk = 7
    assert learner.tasks_at_once == 7


@pytest.mark.parametrize("name", registry.LEARNERS)
def test_a_learner_says_what_it_is_for_and_by_which_loss(name):
    cls = registry.load("learners", name)
    assert cls.learns
    assert issubclass(cls, MetaLearner)
    examples = {"classification", "regression", "sequence"}
    assert issubclass(cls, SupportQueryLearner) is (set(cls.learns) <= examples)


@pytest.mark.parametrize("make", [qs.CNP, qs.ANP, qs.InContext, qs.SNAIL, qs.R2D2])
def test_a_loss_that_is_not_among_a_learners_own_is_refused(make):
    with pytest.raises(qs.UsageError, match=r"loss.*(cross_entropy).*'bits'"):
        make(qs.nets.MLP(out_features=None), loss="bits")
