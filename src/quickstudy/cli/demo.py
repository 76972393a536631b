"""``quickstudy demo``."""

from pathlib import Path

from quickstudy import registry
from quickstudy.cli.resume import resume
from quickstudy.cli.terminal import tell
from quickstudy.cli.train import train
from quickstudy.core.errors import DataError
from quickstudy.training.runs import holds_run


def demo(
    *,
    out: str = "runs/demo",
    steps: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    workers: int | None = None,
) -> None:
    """Five minutes on two cores: MAML on Omniglot, with a report.

    Where Omniglot cannot be had, it takes drawn glyphs instead.

    Args:
        out: the run folder; a demo there goes on as it began.
        steps: outer steps (None: the demo preset's).
        seed: of the initial weights, the tasks and dropout (None: as in train).
        device: auto (a GPU if there is one), cpu, cuda, ...
        workers: threads on a CPU (None: as many as torch may use).
    """
    if holds_run(Path(out)):
        return resume(out, device=device, workers=workers)
    tasks = "omniglot"
    try:
        registry.load("tasks", tasks)(split="train")
    except DataError as error:
        tell(f"Omniglot cannot be had here ({error}) Going on with drawn glyphs instead.")
        tasks = "glyphs"
    options = {"tasks": tasks, "preset": "demo", "out": out, "device": device}
    asked = {"steps": steps, "seed": seed, "workers": workers}
    options |= {name: str(value) for name, value in asked.items() if value is not None}
    return train(["maml", *(word for name, value in options.items() for word in (f"--{name}", value))])
