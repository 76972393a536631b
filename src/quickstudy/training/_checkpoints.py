"""Checkpoints in a folder: ``step-00000500.safetensors`` (tensors) and ``.json`` (the rest; it seals both).

The seal holds the checksum of the tensors, and one of itself. What has no seal is no checkpoint.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from quickstudy.core.errors import RunError
from quickstudy.core.files import (
    LARGEST,
    parse_json,
    read_bytes,
    reason,
    remove_unfinished,
    write_atomic,
    write_json,
)
from quickstudy.core.packing import pack, to_save, unpack
from quickstudy.core.sealed import check_json, checksum, sealed_json
from quickstudy.training.upgrade import FORMAT

_NAME = re.compile(r"step-(\d{8,12})\.(json|safetensors)")


@dataclass(frozen=True)
class Checkpoint:
    """The state of training after ``step`` outer steps."""

    step: int
    learner: dict[str, Tensor]
    rest: dict[str, Any]
    """Optimizer, schedule and what else the outer loop carries on."""


class RemovedError(RunError):
    """A checkpoint that was there a moment ago: a training that goes on keeps the last few only."""


def save(folder: Path, checkpoint: Checkpoint, *, keep: int, best_step: int | None) -> Path:
    """Write a checkpoint; of the older ones, keep the last ``keep`` and the best."""
    tensors: dict[str, Tensor] = {f"learner/{name}": t for name, t in checkpoint.learner.items()}
    rest = pack(checkpoint.rest, "rest", tensors)
    content = safetensors.torch.save(to_save(tensors))
    stem = _stem(folder, checkpoint.step)
    write_atomic(stem.with_suffix(".safetensors"), content)
    seal = {"format": FORMAT, "step": checkpoint.step, "sha256": checksum(content), "rest": rest}
    write_json(stem.with_suffix(".json"), sealed_json(seal))
    for step in steps(folder)[:-keep]:
        if step != best_step:
            # The seal goes first: what has none is not a checkpoint.
            _stem(folder, step).with_suffix(".json").unlink(missing_ok=True)
            _stem(folder, step).with_suffix(".safetensors").unlink(missing_ok=True)
    return stem.with_suffix(".safetensors")


def steps(folder: Path) -> list[int]:
    """The outer steps at which there is a checkpoint, ascending.

    Raises:
        RunError: the folder is there, but cannot be read.
    """
    return sorted(step for step, kind in _files(folder) if kind == "json")


def load(folder: Path, step: int) -> Checkpoint:
    """The checkpoint at ``step``.

    Raises:
        RemovedError: it has been removed meanwhile.
        RunError: it cannot be read, or is damaged.
    """
    stem = _stem(folder, step)
    file, seal_file = stem.with_suffix(".safetensors"), stem.with_suffix(".json")
    try:
        sealing, content = read_bytes(seal_file, most=LARGEST), read_bytes(file)
    except FileNotFoundError as error:
        if not seal_file.exists():
            raise RemovedError(
                f"the checkpoint of step {step} in {folder.parent} was removed while it was read: a training keeps the "
                f"last few only; take another."
            ) from error
        raise _damaged(stem, "its tensors are missing") from error
    except (OSError, ValueError) as error:
        raise RunError(
            f"cannot read the checkpoint {file}: {reason(error)}. It need not be damaged: see who may read it."
        ) from error
    try:
        seal = parse_json(sealing)
        check_json(seal)
        if checksum(content) != seal["sha256"]:
            raise ValueError("its content does not match its checksum")
        tensors = safetensors.torch.load(content)
        rest = unpack(seal["rest"], tensors)
        if seal["step"] != step or not isinstance(rest, dict):
            raise ValueError(f"it is that of step {seal['step']}")
    except (ValueError, LookupError, TypeError, AttributeError, MemoryError, safetensors.SafetensorError) as error:
        raise _damaged(stem, reason(error)) from error
    learner = {n.removeprefix("learner/"): t for n, t in tensors.items() if n.startswith("learner/")}
    return Checkpoint(step, learner, rest)


def clean(folder: Path) -> None:
    """Remove what a kill has left: tensors without a seal, and files that were not finished. For who writes here."""
    remove_unfinished(folder)
    found = set(_files(folder))
    for step, kind in found:
        if kind == "safetensors" and (step, "json") not in found:
            _stem(folder, step).with_suffix(".safetensors").unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove all checkpoints of a folder.

    Raises:
        OSError: one cannot be removed.
    """
    for step, kind in sorted(_files(folder), key=lambda found: found[1]):  # the seals first
        _stem(folder, step).with_suffix(f".{kind}").unlink(missing_ok=True)


def _damaged(stem: Path, why: str) -> RunError:
    there = steps(stem.parent)
    return RunError(
        f"the checkpoint {stem}.safetensors is damaged: {why}. Delete {stem.name}.json and "
        f"{stem.name}.safetensors to go on from an earlier one (there are those of steps {there})."
    )


def _files(folder: Path) -> list[tuple[int, str]]:
    """Steps and kinds of the files; what is called otherwise (a copy, say) is none."""
    try:
        found = [_NAME.fullmatch(name) for name in os.listdir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {folder}: {reason(error)}.") from error
    return [(int(name[1]), name[2]) for name in found if name]


def _stem(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"
