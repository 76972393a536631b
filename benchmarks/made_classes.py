"""What task GANs make, beside real drawings: is a row one class, are rows different, is anything a copy?

The judge is a prototypical network that was trained on the 423 test characters, which no GAN has seen; real drawings
are those of the 100 validation characters, which neither has seen. All real classes come in all four turns, as in
training.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import quickstudy as qs
from quickstudy.learners.generative._drawn_sets import by_class
from quickstudy.report.pictures.classes import sheet
from quickstudy.tasks import Episodes, Examples, Omniglot, Synthesized
from quickstudy.training.intervals import mean_and_half_width
from rows import show, steps_in_time

JUDGE_BUDGET = 60.0  # seconds of a core
PAGES = 100  # of 20 classes, for pairs
SHOWN = 12


def judge(out: Path) -> qs.MetaLearner:
    """Trained once; its rotations and characters are the same for all."""
    tasks = Omniglot(split="test", way=20, shot=1, query=5, rotate=True)
    folder = out / "judge"
    if not (folder / "results.jsonl").is_file():
        torch.manual_seed(0)
        learner = qs.ProtoNet(qs.nets.Conv4(filters=32, out_features=None))
        steps = steps_in_time(learner, tasks, 2, JUDGE_BUDGET)
        options = {
            "steps": steps,
            "meta_batch": 2,
            "meta_lr": 2e-3,
            "schedule": "cosine",
            "workers": 1,
            "device": "cpu",
        }
        run = qs.train(learner, tasks, **options, checkpoint_every=steps, out=folder, resume=True)
        run.add_result({"steps": steps})
    return qs.Run.open(folder).learner()


def pairs(learner: qs.MetaLearner, tasks: Any) -> tuple[Tensor, Tensor]:
    """Nearness of two drawings of one class ``[pages, 20]``, and of two classes ``[pages, 20 * 19]``."""
    same, different = [], []
    with torch.no_grad():
        for seed in range(PAGES):
            batch = tasks.sample(1, seed)
            near = learner.adapt(batch.support)(batch.query.x)[0]  # minus the squared distance [20, 20]
            own = torch.eye(20, dtype=torch.bool)
            same.append(near[own])
            different.append(near[~own])
    return torch.stack(same), torch.stack(different)


def equal_error(same: Tensor, different: Tensor) -> float:
    """The nearness below which as many pairs of one class lie as pairs of two classes lie above."""
    values = same.flatten().sort().values
    missed = torch.arange(len(values)) / len(values)
    taken = 1 - torch.searchsorted(different.flatten().sort().values, values) / different.numel()
    return float(values[(missed - taken).abs().argmin()])


def drawings(tasks: Any, count: int) -> Tensor:
    """One drawing each of ``count`` classes, drawn again and again: ``[count, 1, 28, 28]``."""
    found = [tasks.sample(1, 1000 + seed).support.x[0] for seed in range(-(-count // tasks.way))]
    return torch.cat(found)[:count]


def training_drawings(base: int) -> Tensor:
    """All drawings of the base classes in all four turns, ``[base * 80, 1, 28, 28]``."""
    batch = Omniglot(way=base, shot=1, query=19, base_classes=base, rotate=False).sample(1, 0)
    both = Examples(*(torch.cat([getattr(batch.support, a), getattr(batch.query, a)], 1) for a in "xy"))
    x = by_class(both)[0].flatten(0, 1)
    return torch.cat([torch.rot90(x, turn, (-2, -1)) for turn in range(4)])


def nearest(x: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """Root mean squared difference of grey levels on a grid of 14 x 14 to the nearest drawing, and which that is."""
    a, b = (F.avg_pool2d(images, 2).flatten(1) / 14 for images in (x, among))
    return torch.cdist(a, b).min(1)


def print_quality(folders: dict[int, Path], out: Path) -> None:
    """The table, and a picture for each GAN in ``out``."""
    learner = judge(out)
    few = {"way": 20, "shot": 1, "query": 1}
    cut = equal_error(*pairs(learner, Omniglot(split="test", rotate=True, **few)))
    real = Omniglot(split="val", rotate=True, **few)
    lines = [
        [
            "drawings",
            "20-way accuracy",
            "one class: same",
            "two classes: same",
            "to the nearest training drawing",
            "copies",
        ]
    ]

    def line(name: str, tasks: Any, base: int) -> list[str]:
        same, different = pairs(learner, tasks)
        accuracy = qs.evaluate(learner, tasks, n_tasks=200, workers=1)
        x = drawings(tasks, 1000)
        far, _ = nearest(x, training_drawings(base))
        held_out, _ = nearest(drawings(real, 1000), training_drawings(base))
        copies = (far < held_out.quantile(0.01)).double().mean()
        figures = [100 * accuracy.mean, 100 * accuracy.ci95]
        rates = [(s > cut).double().mean(1) for s in (same, different)]
        return [
            name,
            "{:.1f} ± {:.1f}".format(*figures),
            *("{:.1f} ± {:.1f}".format(*(100 * v for v in mean_and_half_width(rate))) for rate in rates),
            "{:.4f} ± {:.4f}".format(*mean_and_half_width(far)),
            f"{100 * copies:.1f}%",
        ]

    for base, folder in folders.items():
        made = Synthesized(folder, Omniglot(**few, base_classes=base), **few, share=1.0)
        lines.append(line(f"made, from {base} classes", made, base))
        lines.append(line(f"real, not among the {base}", real, base))
        _picture(made.stock, training_drawings(base), out / f"made-{base}.png")
    show(lines)
    print(
        "copies: nearer to a training drawing than 99% of the real drawings are; 95% intervals over tasks, or drawings"
    )


def _picture(stock: Episodes, training: Tensor, path: Path) -> None:
    """Made classes, eight drawings each, the first one's nearest training drawing to the right."""
    from PIL import Image

    everything = Examples(torch.as_tensor(stock.images)[None] / 255, torch.as_tensor(stock.labels)[None])
    rows = by_class(everything)[0, :SHOWN, :8]
    _, which = nearest(rows[:, 0], training)
    image = sheet(torch.cat([rows, torch.zeros_like(rows[:, :1]), training[which].unsqueeze(1)], 1))[..., 0]
    Image.fromarray((255 * (1 - image)).byte().numpy()).resize([2 * n for n in reversed(image.shape)]).save(path)
