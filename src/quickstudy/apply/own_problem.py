"""Learned optimizers beside the usual ones on a model and data of one's own, as ``torch.optim`` would be used there."""

import importlib
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from quickstudy.apply.comparison import WORST, Row, compared, places
from quickstudy.apply.learned_optimizer import LearnedOptimizer
from quickstudy.core.draws import seeded
from quickstudy.core.errors import UsageError
from quickstudy.core.options import COUNT, check_options
from quickstudy.rules import UpdateRule
from quickstudy.training.progress import Advance

OwnProblem: TypeAlias = Callable[[int], tuple[nn.Module, Callable[[int], Tensor]]]
"""``problem(seed) -> (model, loss)``: a model with fresh weights, and its loss on the minibatch of a step."""
USUAL: Mapping[str, Callable[[Any, float], Optimizer]] = {
    "SGD": lambda params, lr: SGD(params, lr=lr),
    "momentum 0.9": lambda params, lr: SGD(params, lr=lr, momentum=0.9),
    "RMSprop": lambda params, lr: RMSprop(params, lr=lr),
    "Adam": lambda params, lr: Adam(params, lr=lr),
    "AdamW": lambda params, lr: AdamW(params, lr=lr),
}
TUNING = 1_000_000
"""The first of the seeds that step sizes are chosen on."""


def load_problem(where: str) -> OwnProblem:
    """The function that ``file.py:name`` or ``module:name`` leads to; the module may be in the current folder.

    Raises:
        UsageError: it leads nowhere, or what is there cannot be imported, or be called.
    """
    place, _, name = where.rpartition(":")
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, place)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            if not {"", os.getcwd()} & {*sys.path}:
                sys.path.append(os.getcwd())
            module = importlib.import_module(place)
        found: Any = getattr(module, name)
    except Exception as error:  # it is anybody's code
        raise UsageError(
            f"{where} cannot be loaded: {type(error).__name__}: {error}. It should be file.py:problem, a function "
            f"problem(seed) that gives (model, loss), where loss(step) is the model's loss on that step's minibatch."
        ) from error
    if not callable(found):
        raise UsageError(f"{where} is no function.")
    return cast("OwnProblem", found)


def compare_on(
    problem: OwnProblem,
    learned: Mapping[str, UpdateRule],
    *,
    name: str = "own",
    steps: int = 200,
    seeds: Sequence[int] = range(5),
    tuning_seeds: int = 1,
    progress: Advance | None = None,
) -> list[Row]:
    """Usual optimizers, tuned, and learned ones, on a problem of one's own; the best final loss first.

    Losses are means over the minibatches between two places of a curve, relative to that over the first of them before
    any step.

    Args:
        problem: ``problem(seed)`` gives ``(model, loss)``; ``loss(step)`` is a scalar.
        learned: rules by the name that they have in the table.
        name: of the problem, in the rows.
        steps: of each training.
        seeds: of the trainings that count.
        tuning_seeds: how many others each of the ten step sizes is tried on.
        progress: called with how many trainings are done, and how many there are.

    Raises:
        UsageError: the problem gives something else, or an option is out of its range.
    """
    check_options(compare_on, locals(), {"steps": COUNT, "tuning_seeds": COUNT})

    def train(called: str, lr: float | None, split: str, seed: int) -> Float[Tensor, "places tasks"]:
        with seeded(seed):
            model, loss = _made(problem, seed + TUNING * (split == "val"), name)
            params = [p for p in model.parameters() if p.requires_grad]
            rule = learned.get(called)
            return _curve(USUAL[called](params, lr) if lr is not None else LearnedOptimizer(params, rule), loss, steps)

    return compared(
        name, [*USUAL], [*learned], train, steps=steps, seeds=seeds, tuning_seeds=tuning_seeds, progress=progress
    )


def _made(problem: OwnProblem, seed: int, name: str) -> tuple[nn.Module, Callable[[int], Tensor]]:
    made: Any = problem(seed)
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module) and callable(made[1])):
        raise UsageError(
            f"{name}({seed}) must give (model, loss), a module and a function of the step, got {made!r:.80}."
        )
    model, loss = made
    value: Any = loss(0)
    if not (isinstance(value, Tensor) and value.numel() == 1 and value.requires_grad):
        raise UsageError(f"loss(step) of {name} must be one number that depends on the model, got {value!r:.80}.")
    return model, loss


def _curve(optimizer: Optimizer, loss: Callable[[int], Tensor], steps: int) -> Float[Tensor, "places tasks"]:
    told = places(steps)
    with torch.no_grad():
        level = max(1e-6, sum(float(loss(step)) for step in range(told[1])) / told[1])
    values: list[float] = []
    for step in range(steps):
        optimizer.zero_grad(set_to_none=True)
        value = loss(step)
        now = float(value.detach())
        values.append(min(WORST, now / level) if math.isfinite(now) else WORST)
        if values[-1] >= WORST:
            values += [WORST] * (steps - len(values))
            break
        value.backward()
        optimizer.step()
    between = [values[begin:end] for begin, end in pairwise(told)]
    return torch.tensor([1.0, *(sum(some) / len(some) for some in between)])[:, None]
