"""``quickstudy adapt``."""

from dataclasses import asdict
from json import dumps
from pathlib import Path

from tyro.conf import Positional

from quickstudy.apply.few_images import classify_folder
from quickstudy.cli.terminal import say, table
from quickstudy.cli.trained import threads, trained_learner
from quickstudy.training.runs import Run

TRANSDUCTIVE_NOTE = " (the queries are normalised together: a prediction depends on the other query images)"


def adapt(
    run: Positional[str],
    *,
    support: Path,
    query: Path,
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
        support: a folder of class folders with a few images each.
        query: a folder of images to classify, or one image.
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
    with threads(workers):
        predictions = classify_folder(learner, found.tasks(), support, query, steps=steps, invert=invert)
    if json:
        print(dumps([asdict(p) for p in predictions], indent=2))
        return
    classes = list(predictions[0].probabilities)
    rows = [[p.path, p.label, *(f"{100 * p.probabilities[c]:.1f}%" for c in classes)] for p in predictions]
    say(table(rows, ["image", "prediction", *classes]))
    say(f"BatchNorm: {learner.bn_mode}" + TRANSDUCTIVE_NOTE * (learner.bn_mode == "transductive"))
