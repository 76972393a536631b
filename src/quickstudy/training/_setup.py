"""How a training begins: what is written down of it, and how it goes on from where a run has stopped."""

import dataclasses
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from quickstudy import registry
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import write_json
from quickstudy.core.learner import MetaLearner
from quickstudy.core.meant import check_distribution, check_learner
from quickstudy.core.options import COUNT, POSITIVE, Range, check_options
from quickstudy.training import distributed
from quickstudy.training._differences import check_same
from quickstudy.training._fingerprint import fingerprint, other_draws
from quickstudy.training._machine import machine
from quickstudy.training.classes import classes_of
from quickstudy.training.optim import put_at
from quickstudy.training.runs import Checkpoint, Run, holds_run, load_weights

_COUNTS = ("steps", "meta_batch", "validate_every", "log_every", "checkpoint_every", "keep", "patience", "workers")
RANGES: Mapping[str, Range] = {
    **dict.fromkeys(_COUNTS, COUNT),
    "validation_tasks": Range(2),
    "meta_lr": Range(0, 1e30, above=True),
    "clip": POSITIVE,
}
RECORDED = (
    *("steps", "meta_batch", "meta_lr", "optimizer", "schedule", "clip", "validate_every", "validation_tasks"),
    *("patience", "log_every", "checkpoint_every", "keep", "seed", "compile", "precision"),
)
"""The options of ``train`` that a run writes down, and that have to be the same when it goes on."""


@dataclasses.dataclass
class State:
    """What the outer loop carries on, beside weights, optimizer and schedule."""

    step: int = 0
    best_step: int | None = None
    best_score: float = -math.inf
    """Score of the best validation, larger is better."""
    stale: int = 0
    """Validations since the best one."""
    seconds: float = 0.0


def check(train: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` for options of ``train`` that cannot be meant."""
    check_learner(options["learner"])
    check_distribution(options["tasks"])
    if options["validation"] is not None:
        check_distribution(options["validation"], "validation")
    check_options(train, options, RANGES)
    if options["patience"] is not None and options["validation"] is None:
        raise UsageError("patience (>= 1) counts validations: pass validation=, a held-out task distribution.")
    if options["resume"] and options["overwrite"]:
        raise UsageError("resume goes on with the run that is in out, and overwrite removes it: choose one.")
    if not any(p.requires_grad for p in options["learner"].parameters()):
        raise UsageError(
            f"{type(options['learner']).__name__} has no parameter that requires a gradient: there is nothing to "
            f"train. Evaluate it as it is, or unfreeze a part."
        )


def configuration(options: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config.json`` says of a training, given the arguments of ``train``."""
    learner: MetaLearner = options["learner"]
    return {
        "learner": registry.describe(learner),
        "tasks": registry.describe(options["tasks"]),
        "validation": registry.describe(options["validation"]),
        "classes": classes_of(options["tasks"]),
        "training": {name: registry.describe(options[name]) for name in RECORDED},
        "bn": learner.bn_mode,
        "parameters": sum(p.numel() for p in learner.parameters()),
        "machine": machine(),
        "fingerprint": {
            "tasks": fingerprint(options["tasks"]),
            "learner": re.sub(r" at 0x[0-9a-f]+", "", nn.Module.__repr__(learner)).splitlines(),
        },
        **(options["notes"] or {}),
    }


def open_run(out: str | Path | None, config: dict[str, Any], resume: bool, start: Checkpoint) -> Run:
    """A new run, or the one in ``out`` that is to go on.

    Raises:
        RunError: the run there was started with something else; the message says what differs.
    """
    if distributed.rank() != 0:
        return Run.create(None, config)
    if not (resume and out is not None and holds_run(Path(out))):
        return Run.create(out, config, start)
    run = Run.open(out)
    now: dict[str, Any] = json.loads(json.dumps(config))
    then = dict(run.config)
    training = then.get("training")
    more = now["training"]["steps"]
    if isinstance(training, dict) and isinstance(training.get("steps"), int):
        # It may go on for longer than planned, and how often it is logged changes nothing.
        then["training"] = {
            **training,
            "steps": max(training["steps"], more),
            "log_every": now["training"]["log_every"],
        }
        then["training"].setdefault("precision", "float32")  # runs of before there was another
    check_same(then, now, str(out))
    found = _other_code_or_data(run.config, now)
    if found:
        raise RunError(f"{out} was started with something else, so it cannot be resumed: {'; '.join(found)}.")
    return run


def _other_code_or_data(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs behind equal descriptions. What only the caller's program can build is refused; else it is told."""
    was, found = then.get("fingerprint"), list[str]()
    if not isinstance(was, dict) or not all(isinstance(was.get(part), kind) for part, kind in _FORMS.items()):
        return []  # of an older version
    if "opaque" in json.dumps(now["learner"]) and was["learner"] != now["fingerprint"]["learner"]:
        pairs = zip(was["learner"], now["fingerprint"]["learner"], strict=False)
        changed = next(((a, b) for a, b in pairs if a != b), ("fewer parts", "more parts"))
        found.append(f"the learner had {str(changed[0]).strip()}, has {str(changed[1]).strip()} now")
    drawn = other_draws(was["tasks"], now["fingerprint"]["tasks"])
    if drawn and "opaque" in json.dumps(now["tasks"]):
        found.append(f"the tasks draw something else: {drawn}")
    elif drawn:
        warnings.warn(f"the tasks draw something else than when the run was started: {drawn}.", stacklevel=4)
    return found


_FORMS = {"tasks": dict, "learner": list}


def threads_of(run: Run) -> int:
    """How many of torch's threads the run was started with."""
    recorded = (run.config.get("machine") or {}).get("threads")
    return recorded if isinstance(recorded, int) and recorded >= 1 else torch.get_num_threads()


def restore(
    checkpoint: Checkpoint,
    run: Run,
    learner: MetaLearner,
    opt: torch.optim.Optimizer,
    lr: LRScheduler,
    training: Mapping[str, Any],
) -> State:
    """Go on from a checkpoint of a run; with more steps, if ``training`` says so, on a schedule of as many.

    Raises:
        RunError: the checkpoint is damaged, or of another learner, optimizer or schedule.
    """
    load_weights(learner, checkpoint.learner)
    rest = dict(checkpoint.rest)
    try:
        opt.load_state_dict(rest.pop("optimizer"))
        lr.load_state_dict(rest.pop("schedule"))
        state = State(**{name: rest[name] for name in (field.name for field in dataclasses.fields(State))})
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise RunError(
            f"the checkpoint of step {checkpoint.step} in {run.path} does not fit this optimizer or schedule: {error}"
        ) from error
    planned = distributed.from_first(run.config["training"]["steps"])
    if training["steps"] != planned:
        if isinstance(training["schedule"], str):
            put_at(lr, training["schedule"], opt, lr=training["meta_lr"], steps=training["steps"], at=state.step)
        before = run.config.get("lengthened")
        history = [
            *(before if isinstance(before, list) else []),
            {"at": state.step, "from": planned, "to": training["steps"]},
        ]
        run.config |= {"training": {**run.config["training"], "steps": training["steps"]}, "lengthened": history}
        if run.path is not None:
            write_json(run.path / "config.json", run.config)
    return state
