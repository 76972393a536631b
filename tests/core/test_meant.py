"""One thing in place of another gets a sentence that says what was meant."""

import re

import pytest

import scripts

CALLS = """
import quickstudy as qs
from torch import nn

class Double(nn.Linear):
    pass

tasks = qs.tasks.Sinusoids(shot=2, query=2)
batch = tasks.sample(2, seed=0)
own = qs.MAML(Double(1, 1), loss="mse")
for wrong in (
    lambda: qs.train(Double(1, 1), tasks, steps=1),
    lambda: qs.train(qs.MAML, tasks, steps=1),
    lambda: qs.train("maml", tasks, steps=1),
    lambda: qs.train(tasks, own, steps=1),
    lambda: qs.train(own, [batch], steps=1),
    lambda: qs.train(own, own, steps=1),
    lambda: qs.train(own, qs.tasks.Glyphs, steps=1),
    lambda: qs.train(own, tasks, validation=[batch], steps=1),
    lambda: qs.evaluate(Double(1, 1), tasks),
    lambda: qs.evaluate(own, batch),
    lambda: qs.evaluate(qs.Run.create(None, {}), tasks),
    lambda: qs.MAML(lambda x: x),
    lambda: qs.MAML(own),
    lambda: own.adapt(batch),
    lambda: own.meta_loss(batch.support),
    lambda: qs.Reptile(Double(1, 1)).meta_loss(tasks),
    lambda: own.meta_backward([batch]),
    lambda: qs.TaskBatch((1, 2), batch.query),
    lambda: qs.preset(own),
    lambda: qs.Run.open(3),
    lambda: qs.LearnedOptimizer(Double(1, 1)),
):
    try:
        wrong()
    except qs.UsageError as error:
        print(error)
    else:
        print("nothing was said")
"""
SAID = [
    r"got Double; a learner is built around a network",
    r"got the class MAML itself; make one: MAML\(\.\.\.\)",
    r"got the text 'maml'; quickstudy\.preset\(name\)",
    r"got Sinusoids, which draws tasks; the learner comes first",
    r"sample\(tasks, seed\), .* got a list of TaskBatch; .*Episodes",
    r"got MAML; the learner comes first",
    r"got the class Glyphs itself; make one",
    r"validation must draw tasks",
    r"got Double; a learner is built",
    r"got TaskBatch",
    r"got Run; a run gives run\.learner\(\)",
    r"a torch\.nn\.Module \(a function can be wrapped in one\)",
    r"got MAML, a learner; pass its network",
    r"MAML\.adapt takes the support examples .* \(batch\.support\), got TaskBatch",
    r"MAML\.meta_loss takes a batch of tasks, .* got Examples",
    r"Reptile\.meta_loss takes a batch .* got Sinusoids",
    r"a batch of tasks is what .* got a list of TaskBatch",
    r"must be Examples\(x, y\), got tuple and Examples",
    r"learners go by their names here",
    r"a run is opened by its folder, a path, got 3",
    r"pass \.parameters\(\) of the Double",
]


@pytest.mark.slow
def test_a_sentence_for_each():
    """In a process of its own: in this one beartype has seen every call before."""
    done = scripts.run("-c", CALLS)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == len(SAID), done.stdout
    for sentence, expected in zip(said, SAID, strict=True):
        assert re.search(expected, sentence), sentence
