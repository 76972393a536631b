"""The gallery: each script of ``examples/`` with its picture and what it printed. A hook of MkDocs, and a command.

    python docs/gallery.py [NAME ...]     runs the examples (all of them: minutes of a core) and keeps, for each,
                                          ``docs/gallery/NAME.svg`` and ``docs/gallery/NAME.txt``

As a hook it writes the part of gallery.md between its marks. A test holds the folder to the examples that there are.
"""

import ast
import contextlib
import io
import re
import runpy
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
EXAMPLES, KEPT = DOCS.parent / "examples", DOCS / "gallery"
GIVEN = {
    "cells": "--search-steps 2 --steps 2 --test-tasks 10",
    "intents": "--intents 10 --most 100",
    "lora_text": "--steps 100 --test-tasks 100",
    "navigation": "--iterations 5 --test-tasks 20",
    "omniglot_maml": "--steps 30 --test-tasks 100",
    "own_images": "--steps 40 --test-tasks 50 --folder mine",
    "prisoners": "--meta-steps 20 --pairs 100",
    "sinusoids": "--steps 500 --test-tasks 200",
}
"""What an example is run with here: a glance, of less than a minute of a core each; by default they take minutes."""
BLOCK = re.compile(r"(?<=<!-- gallery -->\n).*?(?=<!-- end -->)", re.DOTALL)
Found = dict[str, Any]
"""What a script leaves behind: its variables, by name."""


def waves(found: Found, printed: str) -> Any:
    """A new wave: its ten points, and what each learner makes of them in ten steps."""
    import torch

    from quickstudy.report.svg import DASHES, INK, SERIES, canvas, picture

    batch = found["test"].sample(1, seed=1)
    x = torch.linspace(-5, 5, 200).reshape(1, -1, 1)
    with canvas(520, 230) as figure:
        axes = figure.subplots()
        order = batch.query.x[0, :, 0].argsort()
        axes.plot(
            batch.query.x[0, order, 0], batch.query.y[0, order, 0], color=INK, linestyle=(0, (2, 2)), label="wave"
        )
        for name, color, dashes in zip(("maml", "fine_tuned"), SERIES, DASHES, strict=False):
            *_, solver = found[name].adapt_path(batch.support, 10)
            called = {"maml": "MAML, 10 steps", "fine_tuned": "pretrained, 10 steps"}[name]
            axes.plot(x[0, :, 0], solver(x).detach()[0, :, 0], color=color, dashes=dashes, label=called)
        axes.plot(batch.support.x[0, :, 0], batch.support.y[0, :, 0], "o", color=INK, label="ten points")
        axes.legend(frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    return picture(figure, name="sinusoids", caption="A new wave, and what is made of ten of its points.")


def answers(found: Found, printed: str) -> Any:
    """A task: the drawing of each class, and five others with the answer, wrong ones crossed out."""
    import torch

    from quickstudy.report.svg import INK, TEXT, canvas, picture, tinted

    learner, task = found["learner"], found["test"].sample(1, seed=7)
    with torch.no_grad():
        *_, solver = learner.adapt_path(task.support, 3)
        guesses = solver(task.query.x).argmax(-1)[0]
    way = int(task.support.y.max()) + 1
    with canvas(430, 56 * way) as figure:
        grid = figure.subplots(way, 6, squeeze=False)
        for label in range(way):
            own = (task.query.y[0] == label).nonzero()[:5, 0]
            cells = [(task.support.x[0, label, 0], ""), *((task.query.x[0, i, 0], int(guesses[i])) for i in own)]
            for axes, (image, guess) in zip(grid[label], cells, strict=True):
                tinted(axes, image, INK)
                axes.set_xticks([], [])
                axes.set_yticks([], [])
                if guess != "":
                    right = guess == label
                    axes.set_xlabel("right" if right else f"taken for {guess + 1}", color=TEXT if right else INK)
            grid[label][0].set_ylabel(label + 1, rotation=0, labelpad=12)
        grid[0][0].set_title("learned from")
    return picture(figure, name="answers", caption="A task: one drawing of each class, and the answers to five others.")


def drawn(learner: str, tasks: str) -> Callable[[Found, str], Any]:
    """The first picture that a report has of a learner."""

    def draw(found: Found, printed: str) -> Any:
        from quickstudy.report.pictures import draw as pictures_of

        return pictures_of(found[learner], found[tasks].sample(2, seed=0))[0]

    return draw


def bars(found: Found, printed: str) -> Any:
    """The percentages that a script printed, as bars."""
    from quickstudy.report.svg import SERIES, canvas, picture

    lines = re.findall(r"^(.+?):\s+([\d.]+)%", printed, re.MULTILINE)
    with canvas(560, 40 + 26 * len(lines)) as figure:
        axes = figure.subplots()
        axes.barh([name for name, _ in lines], [float(value) for _, value in lines], color=SERIES[0], height=0.6)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("%")
    return picture(figure, name="bars", caption="; ".join(f"{name}: {value} %" for name, value in lines))


PICTURES: dict[str, Callable[[Found, str], Any]] = {
    "omniglot_maml": answers,
    "own_images": answers,
    "sinusoids": waves,
    "navigation": drawn("maml", "test"),
    "prisoners": drawn("agent", "opponents"),
    "cells": drawn("search", "training"),
    "lora_text": bars,
    "intents": bars,
}


def make(name: str) -> None:
    """Run an example, in an empty folder, and keep its picture and what it printed."""
    said = io.StringIO()
    sys.argv = [name, *shlex.split(GIVEN.get(name, ""))]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(said):
        found = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        picture = PICTURES[name](found, said.getvalue())
    (KEPT / f"{name}.txt").write_text(said.getvalue(), encoding="utf-8")
    (KEPT / f"{name}.svg").write_bytes(picture.image)


def names() -> list[str]:
    """The examples, by name."""
    return sorted(path.stem for path in EXAMPLES.glob("*.py"))


def entry(name: str) -> str:
    """The part of the page about one example."""
    said = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text("utf-8"))) or ""
    command = f"python examples/{name}.py {GIVEN.get(name, '')}".rstrip()
    printed = (KEPT / f"{name}.txt").read_text("utf-8").strip("\n")
    picture = f"![{name}](gallery/{name}.svg)"
    line = said.partition("\n")[0]
    return f"## {name}\n\n{line}\n\n{picture}\n\n```bash\n{command}\n```\n\n```text\n{printed}\n```\n"


def fill(text: str) -> str:
    """The page with all examples."""
    return BLOCK.sub(lambda _: "\n" + "\n".join(map(entry, names())), text)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs: the page with its examples."""
    return fill(markdown)


if __name__ == "__main__":
    for asked in sys.argv[1:] or names():
        make(asked)
