"""What a notebook shows."""

import re

import torch

import quickstudy as qs
from quickstudy.training.results import Result, StepScore


def test_a_batch_of_images_shows_its_episodes():
    batch = qs.tasks.Glyphs(way=3, shot=2, query=9, size=12).sample(5, seed=0)
    html = batch._repr_html_()
    assert html.count("<img") == 3 * 3 * (2 + 8)  # three tasks of three classes
    assert html.count(" +1</td>") == 9  # queries that are left out
    assert "and 2 more" in html
    assert not re.search(r"<(script|link)|src=\"(?!data:)", html)


def test_class_names_are_anybodys():
    x, y = torch.rand(1, 2, 3, 4, 4), torch.tensor([[0, 1]])
    examples = qs.Examples(x, y)
    html = qs.TaskBatch(examples, examples, (("<b>ant</b>", "bee"),))._repr_html_()
    assert "&lt;b&gt;ant&lt;/b&gt;" in html
    assert "<td>bee</td>" in html


def test_a_batch_of_numbers_shows_some():
    html = qs.tasks.Sinusoids(shot=9, query=2).sample(1, seed=0)._repr_html_()
    assert html.count("<td>support</td>") == 5
    assert html.count("<td>query</td>") == 2


def test_a_result():
    steps = (StepScore(0, 0.2, 0.01, 1.5), StepScore(1, 0.98765, 0.00123, 0.1))
    result = Result("accuracy", steps, n_tasks=9, seed=0, bn="none", tasks="<i>")
    html = result._repr_html_()
    assert "<td>98.77%</td><td>± 0.12</td>" in html
    assert "<i>" not in html
    assert repr(result) == f"<Result {result}>"
    assert "<table>" not in Result("mse", steps[:1], 9, 0, "none", "waves")._repr_html_()
