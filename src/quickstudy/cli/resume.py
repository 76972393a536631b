"""``quickstudy resume``."""

from pathlib import Path

from tyro.conf import Positional

from quickstudy.cli.train import train_and_report
from quickstudy.core.errors import RunError, UsageError
from quickstudy.training import distributed
from quickstudy.training.loop import RECORDED
from quickstudy.training.runs import Run

TESTED = ("test_tasks", "test_steps", "test_query", "test_way")


def resume(run: Positional[str], *, steps: int | None = None, device: str = "auto", workers: int | None = None) -> None:
    """Go on with a run that was interrupted, as if it had not been.

    A run that is finished stays as it is, unless it is told to take more steps; a linear or cosine schedule is then
    that of so many steps from here on.

    Args:
        run: the run folder.
        steps: outer steps in all, more than was planned (None: as planned).
        device: auto (a GPU if there is one), cpu, cuda, ...
        workers: threads on a CPU (None: as many as torch may use).
    """
    distributed.start(distributed.pick_device(device))
    # The first process reads; the others may be on machines that do not have the folder.
    opened = Run.open(run) if distributed.rank() == 0 else None
    config, weights = distributed.from_first((opened.config, opened.load().learner) if opened else ({}, {}))
    found = opened or Run(None, config)
    learner, tasks = found.built("learner", weights=weights), found.tasks()
    test, training = config.get("test"), config.get("training") or {}
    if test is None:
        raise UsageError(f"{run} was started from Python; resume it there: quickstudy.train(..., resume=True).")
    unknown = [*(name for name in training if name not in RECORDED), *(name for name in test if name not in TESTED)]
    missing = [*{"steps", "seed"} - {*training}, *{"test_tasks", "test_steps", "test_query"} - {*test}]
    if unknown or missing:
        raise RunError(
            f"{Path(run) / 'config.json'} is of another version, or damaged: it has {', '.join(unknown) or 'nothing'} "
            f"that is not known, and lacks {', '.join(missing) or 'nothing'}."
        )
    asked = {} if steps is None else {"steps": steps}
    machine = {"device": device, "workers": workers, "tensorboard": (Path(run) / "tensorboard").exists()}
    train_and_report(learner, tasks, {**training, **asked, **machine}, test, out=run, resume=True)
