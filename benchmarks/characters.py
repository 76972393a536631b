"""The character learner that ships: unseen alphabets, characters of one alphabet, and drawings by mouse.

    python benchmarks/characters.py --csv results/characters.csv        # the shipped learner, the evaluation alphabets
    python benchmarks/characters.py --split val --learner runs/trial    # to choose by: the validation alphabets

``unseen alphabets``: 20 random characters of the split's alphabets, one drawing each, 5 queries a character.
``within an alphabet``: Lake's 20 published runs (the test split has them), and others like them (``hard_runs.py``).
``by mouse``: of such runs and of tasks of random characters, support and query drawings drawn again (``mouse.py``), and
the difference to the same tasks as they are, in pairs: ``on the page``, which knows the strokes, and ``pictures``, of
which the strokes are traced (``read_drawing``). All is 20-way 1-shot, and no query sees another.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import quickstudy as qs
from hard_runs import WAY, HardRun, drawn, published
from mouse import MICE, Stroke, draw, strokes_of
from quickstudy.core.batch import Examples
from quickstudy.core.seeding import fold
from quickstudy.tasks.images._omniglot_splits import LAKE_VALIDATION, split_characters
from quickstudy.tasks.images.drawings import rasterized
from quickstudy.tasks.images.omniglot_files import DRAWINGS, find_root, load_characters
from quickstudy.tasks.images.pixels import as_float, ink_pixels
from quickstudy.tasks.images.tracing import traced
from quickstudy.training.intervals import mean_and_half_width
from results import add_result_row

WHOLE = 105  # pixels of the data as published
PAGE, PICTURES = "on the page", "pictures"
BY_MOUSE = {PAGE: [way for way in MICE if way not in ("thin", "thick")], PICTURES: ["thin", "thick", "small"]}
"""On the page a pen's width is not known."""
Mouse = tuple[str, str]
Task = tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]]
"""Support and query drawings, in the same order: the character's index and the drawing's."""


class Drawings:
    """The data as published, and what becomes of one drawing."""

    def __init__(self, split: str, size: int) -> None:
        root = find_root(None)
        self.size = size
        self.data = load_characters(root, WHOLE)
        self.chosen = split_characters(self.data, protocol="lake", split=split, root=root)
        self.index = {name: i for i, name in enumerate(self.data.names)}
        tested = {run.characters[0].split("/")[0] for run in published()}
        self.alphabets = LAKE_VALIDATION if split == "val" else sorted(tested)
        self.strokes: Callable[[int, int], list[Stroke]] = cache(lambda c, d: strokes_of(self.picture(c, d)))

    def picture(self, character: int, drawing: int) -> Image.Image:
        return Image.fromarray(255 - self.data.images[character * DRAWINGS + drawing, 0].numpy())

    def image(self, character: int, drawing: int, mouse: Mouse | None, seed: int) -> Tensor:
        """``[1, size, size]`` in [0, 1]: as it is, or drawn again."""
        if mouse is None:
            return as_float(ink_pixels(self.picture(character, drawing), self.size)[None])
        where, way = mouse
        rng = np.random.default_rng(fold(seed, way, character, drawing))
        moved, pen = MICE[way](self.strokes(character, drawing), rng)
        return rasterized(moved if where == PAGE else traced(draw(moved, pen)), self.size, pad=2)

    def hard(self, runs: Sequence[HardRun]) -> list[Task]:
        def those(run: HardRun, drawer: int) -> list[tuple[int, int]]:
            return [(self.index[name], drawer) for name in run.characters]

        return [(those(run, run.support), those(run, run.query)) for run in runs]

    def random(self, count: int, seed: int) -> list[Task]:
        """Tasks of random characters of all alphabets of the split."""
        rng = np.random.default_rng(seed)
        found: list[Task] = []
        for _ in range(count):
            characters = rng.choice(self.chosen, WAY, replace=False).tolist()
            two = [rng.choice(DRAWINGS, 2, replace=False) for _ in characters]
            found.append(tuple([(c, int(d[k])) for c, d in zip(characters, two, strict=True)] for k in (0, 1)))  # pyright: ignore
        return found


def accuracy(learner: Any, support: Examples, query: Examples) -> Tensor:
    """Of one task."""
    with torch.no_grad():
        return (learner.adapt(support)(query.x).argmax(-1) == query.y).double().mean()


def scores(learner: Any, drawings: Drawings, tasks: Sequence[Task], mouse: Mouse | None, seed: int) -> Tensor:
    """The accuracy of each task."""
    found: list[Tensor] = []
    y = torch.arange(WAY)[None]
    for task in tasks:
        support, query = (torch.stack([drawings.image(c, d, mouse, seed) for c, d in part])[None] for part in task)
        found.append(accuracy(learner, Examples(support, y), Examples(query, y)))
    return torch.stack(found)


def milliseconds(learner: qs.MetaLearner, size: int) -> Tensor:
    """From 20 drawings and one to ask to the answer, on all cores that torch uses, after one to warm up."""
    x, times = torch.rand(1, WAY + 1, 1, size, size), list[float]()
    with torch.no_grad():
        for _ in range(21):
            started = time.perf_counter()
            learner.adapt(Examples(x[:, :WAY], torch.arange(WAY)[None]))(x[:, WAY:])
            times.append(1000 * (time.perf_counter() - started))
    return torch.tensor(times[1:])


def measured(learner: Any, given: argparse.Namespace) -> Iterator[tuple[str, str, Tensor]]:
    """Settings with metrics and values, one per independent task."""
    size, seed = learner.model.size, given.seed
    if given.tasks:
        yield "one answer", "milliseconds", milliseconds(learner, size)
        options = {"split": given.split, "protocol": "lake", "rotate": False, "size": size}
        omniglot = qs.tasks.Omniglot(**options, way=WAY, shot=1, query=5)
        batches = (omniglot.sample(1, fold(seed, k)) for k in range(given.tasks))
        found = torch.stack([accuracy(learner, b.support, b.query) for b in batches])
        yield "unseen alphabets", "accuracy_percent", found
    drawings = Drawings(given.split, size)
    names = [drawings.data.names[i] for i in drawings.chosen]
    runs = drawings.hard(drawn(names, drawings.alphabets, max(given.runs, given.mice), seed))
    if given.runs:
        if given.split == "test":
            again = drawings.hard(published())
            yield "within an alphabet, published runs", "accuracy_percent", scores(learner, drawings, again, None, seed)
        found = scores(learner, drawings, runs[: given.runs], None, seed)
        yield "within an alphabet, drawn runs", "accuracy_percent", found
    if not given.mice:
        return
    for kind, tasks in (
        ("unseen alphabets", drawings.random(given.mice, seed)),
        ("within an alphabet", runs[: given.mice]),
    ):
        plain = scores(learner, drawings, tasks, None, seed)
        yield f"{kind}, those by mouse as they are", "accuracy_percent", plain
        for mouse in [(where, way) for where, ways in BY_MOUSE.items() for way in ways]:
            by_mouse = scores(learner, drawings, tasks, mouse, seed)
            yield f"{kind}, by mouse, {mouse[0]}: {mouse[1]}", "accuracy_difference_percent", by_mouse - plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learner", type=Path, help="folder with characters.json (default: the shipped one)")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--tasks", type=int, default=300, help="of random characters; 0: leave out")
    parser.add_argument("--runs", type=int, default=200, help="within an alphabet, with the published ones; 0: none")
    parser.add_argument("--mice", type=int, default=40, help="tasks of either kind that are drawn again, each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, help="write the rows there, beside those of other settings")
    given = parser.parse_args()
    learner = qs.pretrained.characters() if given.learner is None else qs.pretrained.read(given.learner, "characters")
    about = "pretrained/characters" if given.learner is None else given.learner.name
    for setting, metric, values in measured(learner, given):
        mean, half = mean_and_half_width(values)
        unit = 1 if metric == "milliseconds" else 100
        print(f"{setting:60} {len(values):5} {metric:27} {unit * mean:6.2f} ± {unit * half:.2f}", flush=True)
        if given.csv is not None:
            add_result_row(
                given.csv.stem,
                learner=about,
                tasks="omniglot",
                setting=f"20w1s {setting}",
                protocol=f"lake, {given.split}",
                bn=learner.bn_mode,
                seed=given.seed,
                n_tasks=len(values),
                metric=metric,
                mean=unit * mean,
                ci95=unit * half,
                results=given.csv.parent,
            )


if __name__ == "__main__":
    main()
