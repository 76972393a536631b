"""What of a folder is a run's, and what is done with all of it."""

from pathlib import Path

from quickstudy.core.errors import RunError
from quickstudy.core.files import advice, reason
from quickstudy.training import _checkpoints

OWN = (
    *("metrics.jsonl", "results.jsonl", "examples.safetensors", "report.html"),
    *("pictures/*.svg", "pictures/*.png", "tensorboard/events.out.tfevents.*"),
)
"""What a run writes beside its configuration and checkpoints."""


def holds_run(path: Path) -> bool:
    """Whether there is a run in a folder.

    Raises:
        RunError: the folder may not be looked into, or can be none.
    """
    try:
        return (path / "config.json").is_file()
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {reason(error)}.") from error


def remove_run(path: Path) -> None:
    """Remove a run, or what is left of one, from its folder; other files stay.

    Raises:
        RunError: something cannot be removed.
    """
    if not holds_run(path) and not _checkpoints.steps(path / "checkpoints"):
        return
    try:
        (path / "config.json").unlink(missing_ok=True)  # first: what is left is no run
        _checkpoints.remove(path / "checkpoints")
        for pattern in OWN:
            for file in path.glob(pattern):
                file.unlink()
    except OSError as error:
        raise RunError(f"cannot remove the run in {path}: {reason(error)}; {advice(error)}.") from error
