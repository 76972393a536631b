"""A run is a folder that a person can read.

config.json        everything needed to repeat the run
metrics.jsonl      one line per log or validation
checkpoints/       step-00000500.safetensors (tensors) and .json (the rest; written last, so it seals the pair)
results.jsonl      one line per evaluation
report.html        what to look at
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from quickstudy import registry
from quickstudy.core.errors import RunError
from quickstudy.core.files import read_json, write_atomic, write_json
from quickstudy.core.learner import MetaLearner
from quickstudy.core.packing import pack, to_save, unpack
from quickstudy.training.classes import check_classes
from quickstudy.training.upgrade import FORMAT, upgraded_config
from quickstudy.version import __version__


@dataclass(frozen=True)
class Checkpoint:
    """The state of training after ``step`` outer steps."""

    step: int
    learner: dict[str, Tensor]
    rest: dict[str, Any]
    """Optimizer, schedule and what else the outer loop carries on."""


class Run:
    """A run folder; ``path=None`` keeps metrics in memory and writes nothing."""

    def __init__(self, path: Path | None, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self._history: list[dict[str, Any]] = []

    @staticmethod
    def create(path: str | Path | None, config: dict[str, Any], start: Checkpoint | None = None) -> "Run":
        """A new run, with a checkpoint to start from: there is none without its initial weights.

        Raises:
            RunError: the folder already holds a run, or cannot be written.
        """
        full = {"format": FORMAT, "quickstudy": __version__, **config}
        if path is None:
            return Run(None, full)
        path = Path(path)
        if (path / "config.json").exists():
            raise RunError(f"{path} already holds a run; resume it, or choose another folder.")
        run = Run(path, full)
        if start is not None:
            run.save(start, keep=1, best_step=None)
        write_json(path / "config.json", full)
        return run

    @staticmethod
    def open(path: str | Path) -> "Run":
        """An existing run; what an older one says, its ``config`` says in today's words.

        Raises:
            RunError: no run there, or one of a later format.
        """
        path = Path(path)
        if not (path / "config.json").is_file():
            raise RunError(f"{path} holds no run (no config.json); give the folder that `train --out` wrote.")
        config = read_json(path / "config.json")
        found = config.get("format") if isinstance(config, dict) else None
        if not isinstance(found, int) or not 1 <= found <= FORMAT:
            writer = config.get("quickstudy") if isinstance(config, dict) else None
            raise RunError(
                f"{path} was written in run format {found} by quickstudy {writer}; this is quickstudy {__version__} "
                f"with format {FORMAT}. Use the version that wrote it."
            )
        return Run(path, upgraded_config(config))

    # -- metrics and results -------------------------------------------------------------------------------------

    def log(self, record: dict[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``."""
        self._history.append(record)
        self._append("metrics.jsonl", record)

    def metrics(self) -> list[dict[str, Any]]:
        """All records so far, in order."""
        return self._read_lines("metrics.jsonl") if self.path else list(self._history)

    def forget_after(self, step: int) -> None:
        """Drop the records after ``step``, and a line that a kill cut short: resuming writes them again."""
        if self.path:
            kept = [record for record in self.metrics() if record["step"] <= step]
            write_atomic(self.path / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in kept).encode())

    def add_result(self, result: dict[str, Any]) -> None:
        """Append one evaluation to ``results.jsonl``."""
        self._append("results.jsonl", result)

    def results(self) -> list[dict[str, Any]]:
        """All evaluations so far, in order."""
        return self._read_lines("results.jsonl")

    def _append(self, name: str, record: dict[str, Any]) -> None:
        if self.path is None:
            return
        try:
            with open(self.path / name, "a") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise RunError(
                f"cannot write {self.path / name}: {error.strerror or error}; free some space, then resume."
            ) from error

    def _read_lines(self, name: str) -> list[dict[str, Any]]:
        if self.path is None or not (self.path / name).exists():
            return []
        records = []
        for line in (self.path / name).read_text().splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                break  # cut short by a kill; what follows it cannot be trusted
        return records

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def save(self, checkpoint: Checkpoint, *, keep: int, best_step: int | None) -> Path | None:
        """Write a checkpoint; of the older ones, keep the last ``keep`` and the best."""
        if self.path is None:
            return None
        tensors: dict[str, Tensor] = {f"learner/{name}": t for name, t in checkpoint.learner.items()}
        rest = pack(checkpoint.rest, "rest", tensors)
        content = safetensors.torch.save(to_save(tensors))
        stem = self._stem(checkpoint.step)
        write_atomic(stem.with_suffix(".safetensors"), content)
        seal = {"format": FORMAT, "step": checkpoint.step, "sha256": hashlib.sha256(content).hexdigest(), "rest": rest}
        write_json(stem.with_suffix(".json"), seal)
        for step in self.steps()[:-keep]:
            if step != best_step:
                # The seal goes first: what has none is not a checkpoint.
                self._stem(step).with_suffix(".json").unlink(missing_ok=True)
                self._stem(step).with_suffix(".safetensors").unlink(missing_ok=True)
        return stem.with_suffix(".safetensors")

    def steps(self) -> list[int]:
        """The outer steps at which there is a checkpoint, ascending."""
        if self.path is None:
            return []
        return sorted(int(file.stem.removeprefix("step-")) for file in self.path.glob("checkpoints/step-*.json"))

    def load(self, step: int | None = None) -> Checkpoint:
        """The checkpoint at ``step`` (None: the last).

        Raises:
            RunError: there is none, or it is damaged.
        """
        steps = self.steps()
        if not steps or (step is not None and step not in steps):
            raise RunError(f"{self.path} has no checkpoint{'' if step is None else f' of step {step}'}: {steps=}.")
        stem = self._stem(steps[-1] if step is None else step)
        seal = read_json(stem.with_suffix(".json"))
        try:
            content = stem.with_suffix(".safetensors").read_bytes()
            if hashlib.sha256(content).hexdigest() != seal["sha256"]:
                raise ValueError("its content does not match its checksum")
            tensors = safetensors.torch.load(content)
            rest = unpack(seal["rest"], tensors)
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            raise RunError(
                f"the checkpoint {stem.with_suffix('.safetensors')} is damaged: {error}. Delete {stem.name}.json and "
                f"{stem.name}.safetensors to go on from an earlier one (there are those of steps {steps})."
            ) from error
        learner = {n.removeprefix("learner/"): t for n, t in tensors.items() if n.startswith("learner/")}
        return Checkpoint(seal["step"], learner, rest)

    def best_step(self) -> int | None:
        """The step of the best validation score so far (without validation: of the last checkpoint)."""
        steps = self.steps()
        if not steps:
            return None
        best = self.load().rest["best_step"]
        return best if best in steps else steps[-1]

    def _stem(self, step: int) -> Path:
        assert self.path is not None, "a run in memory has no checkpoints"
        return self.path / "checkpoints" / f"step-{step:08d}"

    # -- what was trained ----------------------------------------------------------------------------------------

    def learner(self, step: int | None = None) -> MetaLearner:
        """The learner as trained (None: with the best checkpoint's weights), in evaluation mode."""
        learner = registry.build(self.config["learner"])
        self.load_into(learner, step)
        return learner

    def load_into(self, learner: MetaLearner, step: int | None = None) -> int:
        """Put the weights of a checkpoint (None: the best) into a learner of the same build; gives its step.

        Raises:
            RunError: the weights do not fit.
        """
        checkpoint = self.load(self.best_step() if step is None else step)
        load_weights(learner, checkpoint.learner)
        learner.eval()
        return checkpoint.step

    def tasks(self, **changes: Any) -> Any:
        """The task distribution of the run, with some options changed (``split="test"``, say).

        Raises:
            RunError: classes that the run was trained on are in another split now (see ``check_classes``).
        """
        tasks = registry.build(self.config["tasks"], **changes)
        check_classes(self.config, tasks, str(self.path or "this run"))
        return tasks


def load_weights(learner: MetaLearner, weights: dict[str, Tensor]) -> None:
    """``load_state_dict`` whose failure is a ``RunError`` that says what does not fit."""
    try:
        learner.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"the checkpoint does not fit this learner: {error}") from error


def machine() -> dict[str, Any]:
    """What a result depends on, for the record."""
    import platform

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
    }
