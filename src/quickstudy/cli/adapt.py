"""``quickstudy adapt``."""

import csv
import io
from dataclasses import asdict
from json import dumps
from pathlib import Path

from tyro.conf import Positional

from quickstudy.apply.few_images import Prediction, adapt_to_images
from quickstudy.cli.options import Paths
from quickstudy.cli.terminal import say, table, tell
from quickstudy.cli.trained import threads, trained_learner
from quickstudy.core.batchnorm import together
from quickstudy.core.files import write_atomic
from quickstudy.report.adapted import adapted_page
from quickstudy.training.runs import Run

TRANSDUCTIVE_NOTE = " (the queries are normalised together: a prediction depends on the other query images)"


def adapt(
    run: Positional[str],
    *,
    support: Paths,
    query: Paths,
    out: Path | None = None,
    html: Path | None = None,
    steps: int | None = None,
    invert: bool = False,
    checkpoint: str = "best",
    device: str = "auto",
    workers: int | None = None,
    json: bool = False,
) -> None:
    """Apply a trained run to your own few images: a table of predictions.

    Args:
        run: the run folder.
        support: a folder of class folders with a few images each; or images, each a class that is called as its file.
        query: a folder of images to classify, an image, or several of these.
        out: a file for the predictions, as CSV (None: they are printed).
        html: a file for a page of the images, as the learner sees them, with the predictions.
        steps: inner steps (None: as in the run's own test).
        invert: make light what is dark, in all images: for light strokes on a dark ground.
        checkpoint: best, last, or an outer step.
        device: auto (a GPU if there is one), cpu, cuda, ...
        workers: threads on a CPU (None: as many as torch may use).
        json: print the predictions as JSON.
    """
    found = Run.open(run)
    steps = (found.config.get("test") or {}).get("test_steps") if steps is None else steps
    learner, _ = trained_learner(found, checkpoint, device)
    tasks = found.tasks()
    with threads(workers):
        adapted = adapt_to_images(learner, tasks, support, query, steps=steps, invert=invert)
    predictions = adapted.predictions
    if out is not None:
        write_atomic(out, _csv(predictions), anywhere=True)
    if html is not None:
        page = adapted_page(adapted, tasks, invert=invert, bn=learner.bn_mode)
        write_atomic(html, page.encode(errors="backslashreplace"), anywhere=True)
    for place in (out, html):
        if place is not None:
            tell(f"written: {place}")
    if json:
        print(dumps([asdict(p) for p in predictions], indent=2, ensure_ascii=False))
    elif out is None:
        header, rows = _rows(predictions)
        say(table(rows, header))
        say(f"BatchNorm: {learner.bn_mode}" + TRANSDUCTIVE_NOTE * together(learner.bn_mode))


def _rows(predictions: list[Prediction]) -> tuple[list[str], list[list[str]]]:
    classes = list(predictions[0].probabilities)
    rows = [[p.path, p.label, *(f"{100 * p.probabilities[c]:.1f}%" for c in classes)] for p in predictions]
    return ["image", "prediction", *classes], rows


def _csv(predictions: list[Prediction]) -> bytes:
    header = ["image", "prediction", *(f"p({name})" for name in predictions[0].probabilities)]
    file = io.StringIO(newline="")
    rows = [[p.path, p.label, *(f"{value:.4f}" for value in p.probabilities.values())] for p in predictions]
    csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return file.getvalue().encode(errors="backslashreplace")
