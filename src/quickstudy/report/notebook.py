"""What a notebook shows of a batch of tasks and of a result: HTML that holds all it needs."""

from html import escape

import torch
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.core.scores import score
from quickstudy.report.drawings import is_ink, picture
from quickstudy.training.results import Result

TASKS, PER_CLASS, EXAMPLES, NUMBERS = 3, 8, 5, 6
"""How many tasks are shown, images of a class in each set, examples that are no images, and numbers of each."""
TILE = "height:40px;margin:1px;background:white;display:inline"


def batch_html(batch: TaskBatch) -> str:
    """The first tasks of a batch: of images the pictures by class, of other examples the first numbers."""
    parts = [f"<p>{escape(repr(batch))}</p>"]
    for task in range(min(TASKS, len(batch))):
        x, y = batch.support.x[task], batch.support.y[task]
        images = x.ndim == 4 and x.shape[1] in (1, 3) and not y.is_floating_point() and y.ndim == 1
        parts.append(f"<p><b>Task {task + 1}</b></p>{_episode(batch, task) if images else _numbers(batch, task)}")
    more = len(batch) - TASKS
    return "".join([*parts, f"<p>and {more} more</p>" if more > 0 else ""])


def result_html(result: Result) -> str:
    """The score in a line, and a table by inner step where there are several."""
    text = score(result.metric)
    rows = [
        f"<td>{s.step}</td><td>{text.text(s.mean, s.ci95)}</td><td>{text.interval(s.ci95)}</td><td>{s.loss:.4f}</td>"
        for s in result.by_step
    ]
    head = ["inner steps", escape(text.named(result.unit)), "95% interval", "loss"]
    return f"<p>{escape(str(result))}</p>{_table(head, rows) if len(rows) > 1 else ''}"


def _episode(batch: TaskBatch, task: int) -> str:
    """A row for each class: its support images, then its queries."""
    sets = [(examples.x[task].float().cpu(), examples.y[task].cpu()) for examples in (batch.support, batch.query)]
    both = torch.cat([x for x, _ in sets])
    low, high, ink = float(both.min()), float(both.max()), is_ink(both)
    rows: list[str] = []
    for label in torch.unique(sets[0][1][sets[0][1] >= 0]).tolist():
        cells = [escape(str(label) if batch.class_names is None else batch.class_names[task][label])]
        for x, y in sets:
            own = x[y == label]
            tiles = "".join(f'<img style="{TILE}" src="{picture(one, ink, low, high)}">' for one in own[:PER_CLASS])
            cells.append(tiles + (f" +{len(own) - PER_CLASS}" if len(own) > PER_CLASS else ""))
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    return _table(["class", "support", "query"], rows)


def _numbers(batch: TaskBatch, task: int) -> str:
    """The first examples of each set: the first numbers of x, and y."""
    rows = [
        f"<td>{name}</td><td>{_few(x)}</td><td>{_few(y)}</td>"
        for name, examples in (("support", batch.support), ("query", batch.query))
        for x, y in zip(examples.x[task][:EXAMPLES], examples.y[task][:EXAMPLES], strict=True)
    ]
    return _table(["", "x", "y"], rows)


def _table(head: list[str], rows: list[str]) -> str:
    names = "".join(f"<th>{name}</th>" for name in head)
    return f"<table><tr>{names}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _few(t: Tensor) -> str:
    values = [f"{value:.4g}" for value in t.flatten()[:NUMBERS].tolist()]
    return ", ".join([*values, "..."] if t.numel() > NUMBERS else values)
