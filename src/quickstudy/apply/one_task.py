"""A learner's solver of one task whose examples come from outside: found when asked for, and asked in any number."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from quickstudy.core.batch import Examples
from quickstudy.core.draws import seeded
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaLearner, Solver
from quickstudy.core.model_checks import device_of
from quickstudy.training.evaluation import solvers


class OneTask:
    """One classification task and its solver, without a graph, where the learner is.

    A pickle holds no solver, which may be a function that cannot be pickled; it is found again when asked for.

    Args:
        learner: in evaluation mode.
        x: support examples ``[n, ...]``.
        y: labels ``[n]``, every one of ``0 .. classes-1``.
        steps: inner steps (None: the learner's own).
        seed: of whatever the learner draws; the same at each call.
        where: what holds the labels, as an error calls it.
    """

    def __init__(
        self,
        learner: MetaLearner,
        x: Float[Tensor, "n ..."] | Int[Tensor, "n ..."],
        y: Int[Tensor, " n"],
        *,
        steps: int | None = None,
        seed: int = 0,
        where: str = "y",
    ) -> None:
        self.learner = learner
        self.x = x
        self.y = y
        self.steps = steps
        self.seed = seed
        self.where = where
        self.solver: Solver | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "solver": None}

    def adapt(self) -> Solver:
        """Find the solver.

        Raises:
            UsageError: more classes than the learner's head has outputs.
        """
        device = device_of(self.learner)
        support = Examples(self.x[None], self.y[None]).to(device)
        with torch.no_grad():
            # Each part draws the same, whatever was drawn before.
            with seeded(self.seed, device):
                path = solvers(self.learner, support, self.steps)
                solver = next(path)
            with seeded(self.seed, device):
                outputs = solver(support.x).shape[-1]
                classes = int(self.y.max()) + 1
                if outputs < classes:
                    raise UsageError(
                        f"{self.where} holds {classes} classes, but this learner tells {outputs} apart at most; use "
                        f"fewer, train one for way={classes} (--way {classes}), or one that compares features "
                        f"(ProtoNet, say), which takes any number."
                    )
                for later in path:
                    solver = later
        self.solver = solver
        return solver

    def __call__(self, x: Float[Tensor, "n ..."] | Int[Tensor, "n ..."]) -> Float[Tensor, "n outputs"]:
        """Logits on the CPU."""
        solver = self.adapt() if self.solver is None else self.solver
        device = device_of(self.learner)
        with torch.no_grad(), seeded(self.seed, device):
            return solver(x[None].to(device))[0].cpu()
