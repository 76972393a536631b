"""One thing in place of another gets a sentence that says what was meant."""

import pytest
from torch import nn

import quickstudy as qs


class Double(nn.Module):
    """A network of a person's own."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


tasks = qs.tasks.Sinusoids(shot=2, query=2)
batch = tasks.sample(2, seed=0)


@pytest.fixture
def learner():
    return qs.MAML(Double(), loss="mse")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda own: qs.train(Double(), tasks, steps=1), r"got Double; a learner is built around a network"),
        (lambda own: qs.train(qs.MAML, tasks, steps=1), r"got the class MAML itself; make one: MAML\(\.\.\.\)"),
        (lambda own: qs.train("maml", tasks, steps=1), r"got the text 'maml'; quickstudy\.preset\(name\)"),
        (lambda own: qs.train(tasks, own, steps=1), r"got Sinusoids, which draws tasks; the learner comes first"),
        (lambda own: qs.train(own, [batch], steps=1), r"sample\(tasks, seed\), .* got a list of TaskBatch; .*Episodes"),
        (lambda own: qs.train(own, own, steps=1), r"got MAML; the learner comes first"),
        (lambda own: qs.train(own, qs.tasks.Glyphs, steps=1), r"got the class Glyphs itself; make one"),
        (lambda own: qs.train(own, tasks, validation=[batch], steps=1), r"validation must draw tasks"),
        (lambda own: qs.evaluate(Double(), tasks), r"got Double; a learner is built"),
        (lambda own: qs.evaluate(own, batch), r"got TaskBatch"),
        (lambda own: qs.evaluate(qs.Run.create(None, {}), tasks), r"got Run; a run gives run\.learner\(\)"),
        (
            lambda own: qs.MAML(Double),
            r"a torch\.nn\.Module .* got the class Double itself; make one",
        ),
        (lambda own: qs.MAML(lambda x: x), r"a torch\.nn\.Module \(a function can be wrapped in one\)"),
        (lambda own: qs.MAML(own), r"got MAML, a learner; pass its network"),
        (lambda own: own.adapt(batch), r"MAML\.adapt takes the support examples .* \(batch\.support\), got TaskBatch"),
        (lambda own: own.meta_loss(batch.support), r"MAML\.meta_loss takes a batch of tasks, .* got Examples"),
        (lambda own: qs.Reptile(Double()).meta_loss(tasks), r"Reptile\.meta_loss takes a batch .* got Sinusoids"),
        (lambda own: own.meta_backward([batch]), r"a batch of tasks is what .* got a list of TaskBatch"),
        (lambda own: qs.TaskBatch((1, 2), batch.query), r"must be Examples\(x, y\), got tuple and Examples"),
        (lambda own: qs.preset(own), r"learners go by their names here"),
        (lambda own: qs.Run.open(3), r"a run is opened by its folder, a path, got 3"),
        (lambda own: qs.LearnedOptimizer(Double()), r"pass \.parameters\(\) of the Double"),
    ],
)
def test_a_sentence(call, says, learner):
    with pytest.raises(qs.UsageError, match=says):
        call(learner)
