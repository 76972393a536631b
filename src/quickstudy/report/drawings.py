"""Test tasks as the page draws them: images as PNG data, classes, ticks and crosses, curves."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from quickstudy.core.losses import mean_of, std_of
from quickstudy.core.scores import score
from quickstudy.report.charts import Line, curve_chart
from quickstudy.report.examples import DrawnTasks
from quickstudy.training.confusion import OTHER
from quickstudy.training.results import StepScore

PIXELS = 96
"""Largest height and width of a picture in the page."""
SUPPORTS_PER_CLASS = 5
STEPS_DRAWN = 6
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NEUTRAL, TRUTH, ADAPTED = 5, 1, 0
"""Looks (see ``charts``) of the curve before adapting, the true one, and the adapted ones."""


@dataclass(frozen=True)
class Guess:
    """A query example and what the adapted solver says of it."""

    picture: str | None
    true: str
    said: str
    probability: float

    @property
    def right(self) -> bool:
        return self.said == self.true


@dataclass(frozen=True)
class ClassRow:
    """One class of a task: what was shown of it, and what of it was asked."""

    name: str
    support: list[str | None]
    more_support: int
    queries: list[Guess]


@dataclass(frozen=True)
class Drawing:
    """One task."""

    before: str | None
    after: str
    rows: list[ClassRow]
    chart: Markup | None


def draw_tasks(drawn: DrawnTasks, key: str) -> list[Drawing]:
    """One drawing per task."""
    return [_draw(drawn, task, f"{key}-task{task}") for task in range(len(drawn))]


def is_ink(x: Tensor) -> bool:
    """Whether images ``[..., C, H, W]`` are strokes on an empty ground (ink = 1), drawn as ink on the page's paper."""
    return x.ndim > 3 and x.shape[-3] == 1 and bool(x.min() >= 0) and bool(x.median() < 0.2)


def _draw(drawn: DrawnTasks, task: int, key: str) -> Drawing:
    scores = drawn.tensors["scores"][:, task].tolist()
    return Drawing(
        before=score(drawn.metric).text(scores[0]) if len(scores) > 1 else None,
        after=score(drawn.metric).text(scores[-1]),
        rows=_rows(drawn, task) if drawn.is_classification else [],
        chart=_curves(drawn, task, key) if "curves" in drawn.tensors else None,
    )


def _rows(drawn: DrawnTasks, task: int) -> list[ClassRow]:
    t = drawn.tensors
    probabilities = t["predictions"][-1, task].softmax(-1)
    ink = is_ink(t["support_x"])
    low, high = float(t["support_x"].min()), float(t["support_x"].max())
    ways = max(int(t["support_y"].max()), int(t["query_y"].max()), probabilities.shape[-1] - 1) + 1
    names = list(ALPHABET[:ways]) if ways <= len(ALPHABET) else [str(i) for i in range(ways)]
    if drawn.class_names is not None:
        own = drawn.class_names[task]  # a network may have outputs for more classes than the task has
        names = [*own, *[OTHER] * (ways - len(own))]
    rows: list[ClassRow] = []
    for label in torch.unique(t["support_y"][task]).tolist():
        shown = [picture(x, ink, low, high) for x in t["support_x"][task][t["support_y"][task] == label]]
        queries = [
            Guess(
                picture(t["query_x"][task, i], ink, low, high),
                names[label],
                names[int(probabilities[i].argmax())],
                float(probabilities[i].max()),
            )
            for i in torch.nonzero(t["query_y"][task] == label).flatten().tolist()
        ]
        more = max(0, len(shown) - SUPPORTS_PER_CLASS)
        rows.append(ClassRow(names[label], shown[:SUPPORTS_PER_CLASS], more, queries))
    return rows


def picture(x: Tensor, ink: bool, low: float, high: float) -> str | None:
    """``data:`` address of an image ``[C, H, W]``; None if x is no image."""
    if x.ndim != 3:
        return None
    if low < 0 or high > 1:
        x = (x - low) / max(high - low, 1e-9)
    pixels = (x.clamp(0, 1) * 255).round().to(torch.uint8)
    if ink:
        image = Image.fromarray(np.stack([np.zeros_like(pixels[0].numpy()), pixels[0].numpy()], -1), "LA")
    elif len(pixels) == 3:
        image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()), "RGB")
    else:
        image = Image.fromarray(pixels.float().mean(0).to(torch.uint8).numpy(), "L")
    image.thumbnail((PIXELS, PIXELS))
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return png_address(out.getvalue())


def png_address(png: bytes) -> str:
    """A PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _curves(drawn: DrawnTasks, task: int, key: str) -> Markup:
    t = drawn.tensors
    x = t["grid_x"].tolist()
    curves = t["curves"][:, task, :, 0]
    band = None
    if curves.ndim == 3:  # gaussian
        band = (2 * std_of(curves[-1])).tolist()
        curves = mean_of(curves)
    last = len(curves) - 1
    lines = [Line(x, t["truth"][task, :, 0].tolist(), TRUTH, width=2.2)] if "truth" in t else []
    if last:
        lines.append(Line(x, curves[0].tolist(), NEUTRAL, width=1.6))
    between = sorted({round(1 + i * (last - 1) / STEPS_DRAWN) for i in range(STEPS_DRAWN)} - {last}) if last > 1 else []
    for step in between:
        opacity = 0.25 + 0.4 * step / last
        lines.append(Line(x, curves[step].tolist(), ADAPTED, width=1.2, opacity=opacity, solid=True))
    lines.append(Line(x, curves[last].tolist(), ADAPTED, band=band, width=2.6, solid=True))
    points = list(
        zip(t["support_x"][task].flatten().tolist(), t["support_y"][task, :, 0].flatten().tolist(), strict=True)
    )
    when = f"before adapting and after each of {last} inner steps" if last else "after adapting"
    label = (
        f"Task {task + 1}: the learner's curve {when}, "
        f"{len(points)} support points"
        + (", a band of two standard deviations" if band else "")
        + (" and the true curve" if "truth" in t else "")
    )
    return curve_chart(key, label, lines, points)


def step_rows(metric: str, by_step: list[StepScore], most: int = 12) -> list[dict[str, str]]:
    """The table of scores by inner step; of many steps, some."""
    last = len(by_step) - 1
    chosen = range(last + 1) if last < most else sorted({0, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200, last})
    return [
        {
            "step": f"{by_step[i].step}",
            "score": score(metric).text(by_step[i].mean, by_step[i].ci95),
            "interval": score(metric).interval(by_step[i].ci95),
            "loss": f"{by_step[i].loss:.4f}",
        }
        for i in chosen
        if i <= last
    ]
