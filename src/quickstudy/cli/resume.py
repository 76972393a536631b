"""``quickstudy resume``."""

from pathlib import Path

from tyro.conf import Positional

from quickstudy import registry
from quickstudy.cli.train import train_and_report
from quickstudy.core.errors import UsageError
from quickstudy.training import distributed
from quickstudy.training.runs import Run


def resume(run: Positional[str], *, device: str = "auto", workers: int | None = None) -> None:
    """Go on with a run that was interrupted, as if it had not been.

    Args:
        run: the run folder.
        device: auto (a GPU if there is one), cpu, cuda, ...
        workers: threads on a CPU (None: as many as torch may use).
    """
    distributed.start(distributed.pick_device(device))
    # The first process reads; the others may be on machines that do not have the folder.
    found = Run(None, distributed.from_first(Run.open(run).config if distributed.rank() == 0 else {}))
    learner, tasks = registry.build(found.config["learner"]), found.tasks()
    machine = {"device": device, "workers": workers}
    training = {**found.config["training"], **machine, "tensorboard": (Path(run) / "tensorboard").exists()}
    if "test" not in found.config:
        raise UsageError(f"{run} was started from Python; resume it there: quickstudy.train(..., resume=True).")
    train_and_report(learner, tasks, training, found.config["test"], out=run, resume=True)
