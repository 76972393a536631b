"""Evaluation: means and intervals by hand, the same tasks for everyone, and nothing left changed."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.core.batch import shared_draws
from quickstudy.core.scores import score
from quickstudy.core.seeding import fold
from quickstudy.learners import SupportQueryLearner
from quickstudy.training.evaluation import BLOCK, steps_to_score
from quickstudy.training.intervals import half_width

N = BLOCK + 7  # more than one block, and not a multiple


def maml(**options):
    torch.manual_seed(0)
    net = qs.nets.Conv4(filters=3, size=16, out_features=3)
    return qs.MAML(net, **{"inner_lr": 0.3, "inner_steps": 2, **options})


def regressor(**options):
    torch.manual_seed(0)
    return qs.MAML(qs.nets.MLP(hidden=(8,)), loss="mse", inner_lr=0.05, **options)


def glyphs(**options):
    return qs.tasks.Glyphs(**{"split": "test", "way": 3, "query": 2, "size": 16, **options})


SINUSOIDS = qs.tasks.Sinusoids(split="test", shot=4, query=5)


def test_mean_and_interval_by_hand():
    """Each task adapted to alone, its score counted, mean and standard error by numpy."""
    learner, tasks = maml(), glyphs()
    result = qs.evaluate(learner, tasks, n_tasks=N, seed=3)
    accuracies, losses = [], []
    for start, size in ((0, BLOCK), (BLOCK, N - BLOCK)):
        batch = tasks.sample(size, fold(3, "evaluate", start))
        for t in range(size):
            task = batch[t : t + 1]
            logits = learner.adapt(task.support)(task.query.x)[0].detach()
            hits = [int(row.argmax()) == int(y) for row, y in zip(logits, task.query.y[0], strict=True)]
            accuracies.append(np.mean(hits))
            losses.append(nn.functional.cross_entropy(logits, task.query.y[0]).item())
    assert result.accuracy == result.mean == pytest.approx(np.mean(accuracies), abs=1e-7)
    assert result.ci95 == pytest.approx(2.0395 * np.std(accuracies, ddof=1) / math.sqrt(N), rel=1e-4)
    assert result.scores == pytest.approx(accuracies, abs=1e-7)
    assert (result.draws, result.shares) == (N, ())
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert result.ci95 > 0


def test_regression_is_scored_by_its_loss():
    learner = regressor()
    result = qs.evaluate(learner, SINUSOIDS, n_tasks=BLOCK, seed=1)
    batch = SINUSOIDS.sample(BLOCK, fold(1, "evaluate", 0))
    errors = ((learner.adapt(batch.support)(batch.query.x) - batch.query.y) ** 2).mean((1, 2)).detach().numpy()
    assert result.metric == "mse"
    assert result.mean == result.loss == pytest.approx(errors.mean(), rel=1e-5)
    assert result.ci95 == pytest.approx(2.0639 * errors.std(ddof=1) / math.sqrt(BLOCK), rel=1e-4)
    with pytest.raises(qs.UsageError, match="scored by mse"):
        _ = result.accuracy


SHARED = qs.tasks.Sinusoids(split="test", shot=(1, 9), query=5)


@pytest.mark.parametrize(("n_tasks", "sizes"), [(2, [1, 1]), (3, [1, 1, 1]), (4, [2, 2]), (7, [2, 2, 2, 1])])
def test_tasks_that_share_a_draw_are_drawn_in_twos_and_the_interval_is_over_draws(n_tasks, sizes):
    learner = regressor()
    result = qs.evaluate(learner, SHARED, n_tasks=n_tasks, seed=1)
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    errors = []
    for start, size in zip(starts, sizes, strict=True):
        batch = SHARED.sample(size, fold(1, "evaluate", start))
        errors += ((learner.adapt(batch.support)(batch.query.x) - batch.query.y) ** 2).mean((1, 2)).tolist()
    assert result.scores == pytest.approx(errors, rel=1e-5)
    assert result.mean == pytest.approx(np.mean(errors), rel=1e-5)
    assert result.ci95 == pytest.approx(float(half_width(torch.tensor(errors), sizes)), rel=1e-5)
    assert (result.draws, result.shares) == (len(sizes), ("shot",))
    assert f"{n_tasks} tasks in {len(sizes)} draws of shot; " in str(result)
    # However it is computed.
    for other, workers in ((regressor(chunk=1), 2), (regressor(), 3)):
        assert qs.evaluate(other, SHARED, n_tasks=n_tasks, seed=1, workers=workers).scores == pytest.approx(
            result.scores, rel=1e-5
        )


SHARES = {
    "shot": [SHARED, qs.tasks.GaussianProcesses()],
    "way and shot": [qs.tasks.TabularPrior()],
    "architecture": [qs.tasks.Problems(), qs.tasks.Problems(families=("logistic",))],
    "length": [qs.tasks.Copy(), qs.tasks.RepeatCopy(copies=(2, 2))],
    "length and copies": [qs.tasks.RepeatCopy()],
    "items": [qs.tasks.AssociativeRecall()],
    "": [
        SINUSOIDS, glyphs(), qs.tasks.Sinusoids(shot=(3, 3)), qs.tasks.GaussianProcesses(shot=4),
        qs.tasks.TabularPrior(fixed=True), qs.tasks.Copy(length=(5, 5)), qs.tasks.AssociativeRecall(items=(3, 3)),
        qs.tasks.Navigation(), qs.tasks.IteratedGames(), qs.tasks.Bandits(), qs.tasks.TabularMDPs(),
    ],
}  # fmt: skip


@pytest.mark.parametrize("shares", SHARES)
def test_what_the_tasks_of_a_batch_share(shares):
    for tasks in SHARES[shares]:
        assert " and ".join(shared_draws(tasks)) == shares


def test_what_distributions_say_badly():
    class Bad(Recorder):
        shares = "shot"

    with pytest.raises(qs.UsageError, match=r"shares of Bad must be a tuple of names .* got 'shot'"):
        qs.evaluate(regressor(), Bad(SINUSOIDS), n_tasks=4)


class Recorder:
    """Tasks that remember what was asked of them."""

    def __init__(self, tasks):
        self.tasks, self.asked = tasks, []

    def sample(self, tasks, seed):
        self.asked.append((tasks, seed))
        return self.tasks.sample(tasks, seed)


def test_the_same_seed_and_number_give_the_same_tasks_to_every_learner():
    asked = []
    for learner, seed in ((regressor(), 5), (regressor(inner_steps=3), 5), (regressor(), 6)):
        recorder = Recorder(SINUSOIDS)
        result = qs.evaluate(learner, recorder, n_tasks=N, seed=seed)
        assert result.tasks == "Recorder"  # what does not describe itself is called by its type
        asked.append(recorder.asked)
    assert asked[0] == asked[1]
    assert [n for n, _ in asked[0]] == [BLOCK, N - BLOCK]
    assert not {s for _, s in asked[0]} & {s for _, s in asked[2]}


def test_repeating_gives_the_same_result_and_another_seed_another():
    first, again, other = (qs.evaluate(maml(), glyphs(), n_tasks=BLOCK, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.by_step != other.by_step


def test_by_step():
    learner = maml()
    result = qs.evaluate(learner, glyphs(), n_tasks=BLOCK, steps=4)
    assert [s.step for s in result.by_step] == [0, 1, 2, 3, 4]
    assert result.mean == result.by_step[-1].mean
    for steps in (0, 2):
        shorter = qs.evaluate(learner, glyphs(), n_tasks=BLOCK, steps=steps)
        assert shorter.by_step == result.by_step[: steps + 1]
    assert qs.evaluate(learner, glyphs(), n_tasks=BLOCK).by_step == result.by_step[:3]  # the learner's own 2 steps
    chosen = qs.evaluate(learner, glyphs(), n_tasks=BLOCK, steps=4, at=[1, 9])
    assert chosen.by_step == (result.by_step[1], result.by_step[4])


def test_adapting_helps_on_sinusoids():
    """A sanity check of the numbers' order: gradient steps on the support set reduce the error on the query set."""
    result = qs.evaluate(regressor(), SINUSOIDS, n_tasks=100, steps=5)
    assert result.by_step[5].mean < result.by_step[0].mean


@pytest.mark.parametrize("steps", [0, 1, 5, 6, 50, 70])
def test_steps_to_score(steps):
    chosen = steps_to_score(steps)
    assert chosen == sorted(set(chosen))
    assert chosen[-1] == steps
    assert chosen[: min(steps, 5) + 1] == list(range(min(steps, 5) + 1))


def test_other_shots_queries_and_smaller_ways_than_in_training():
    for tasks in (glyphs(shot=4), glyphs(query=3), glyphs(way=2)):
        assert 0 <= qs.evaluate(maml(), tasks, n_tasks=5).accuracy <= 1


def test_a_larger_way_than_the_head():
    with pytest.raises(qs.UsageError, match=r"model gives 3 outputs.*out_features = way \(at least 4\)"):
        qs.evaluate(maml(), glyphs(way=4), n_tasks=5)


@pytest.mark.parametrize("training", [True, False])
def test_modes_weights_and_buffers_stay_as_they_were(training):
    """Also where a part of the model has a mode of its own, and where the evaluation fails."""
    learner = maml()
    learner.train(training)
    frozen = learner.model.blocks[1].norm
    frozen.train(not training)
    before = {name: t.clone() for name, t in learner.state_dict().items()}
    qs.evaluate(learner, glyphs(), n_tasks=5)
    with pytest.raises(qs.UsageError):
        qs.evaluate(learner, glyphs(way=4), n_tasks=5)
    assert learner.training is training
    assert frozen.training is not training
    assert all(module.training is training for module in learner.modules() if module is not frozen)
    assert all(torch.equal(t, before[name]) for name, t in learner.state_dict().items())
    assert all(p.grad is None for p in learner.parameters())


def test_evaluation_is_in_evaluation_mode():
    """Dropout would make two evaluations differ."""
    torch.manual_seed(0)
    learner = qs.MAML(nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.5), nn.Linear(8, 1)), loss="mse")
    assert qs.evaluate(learner, SINUSOIDS, n_tasks=5) == qs.evaluate(learner, SINUSOIDS, n_tasks=5)


def test_the_result_does_not_depend_on_the_number_of_workers():
    results = [qs.evaluate(maml(), glyphs(), n_tasks=N, workers=workers) for workers in (1, 2, 5)]
    assert results[0] == results[1] == results[2]


class OneGo(SupportQueryLearner):
    """Adapts without steps: the mean of the support targets."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))

    def adapt(self, support):
        mean = support.y.mean(1, keepdim=True)
        return lambda x: mean.expand(*x.shape[:2], -1) * self.w

    loss = "mse"


def test_a_learner_without_steps():
    result = qs.evaluate(OneGo(), SINUSOIDS, n_tasks=5)
    assert len(result.by_step) == 1
    with pytest.raises(qs.UsageError, match="OneGo adapts in one go"):
        qs.evaluate(OneGo(), SINUSOIDS, n_tasks=5, steps=2)


def test_bad_arguments():
    with pytest.raises(qs.UsageError, match="at least 2 tasks, got n_tasks=1"):
        qs.evaluate(regressor(), SINUSOIDS, n_tasks=1)
    with pytest.raises(qs.UsageError, match="steps=-1"):
        qs.evaluate(regressor(), SINUSOIDS, n_tasks=5, steps=-1)


def test_the_result_in_words_and_in_json():
    result = qs.evaluate(maml(bn="support"), glyphs(), n_tasks=5)
    text = str(result)
    assert text.startswith(f"accuracy {score('accuracy').told(result.mean, result.ci95)} (95% interval, 5 tasks; ")
    assert "BatchNorm: support" in text
    assert text.endswith(f"on {glyphs().describe()}; chance {100 / glyphs().way:.4g}%")
    record = result.to_json()
    assert record["by_step"][-1] == {"step": 2, "mean": result.mean, "ci95": result.ci95, "loss": result.loss}
    assert (record["mean"], record["n_tasks"], record["seed"], record["bn"]) == (result.mean, 5, 0, "support")
    assert record["scores"] == pytest.approx(result.scores, rel=1e-5)
    assert json.loads(json.dumps(record))["draws"] == 5
    assert str(qs.evaluate(regressor(), SINUSOIDS, n_tasks=5)).startswith("mse ")


def test_scores_as_csv():
    result = qs.evaluate(qs.ProtoNet(qs.nets.Flat(in_features=256)), glyphs(), n_tasks=4)
    head, *rows = result.to_csv().splitlines()
    assert head == "task,accuracy"
    assert [row.split(",")[0] for row in rows] == ["0", "1", "2", "3"]
    assert [float(row.split(",")[1]) for row in rows] == pytest.approx(result.scores)
    with pytest.raises(qs.UsageError, match="evaluate again"):
        dataclasses.replace(result, scores=()).to_csv()
