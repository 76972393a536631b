"""R2-D2: learn features on which ridge regression, solved in closed form, tells a new task's classes apart.

Equations (Bertinetto et al. 2019, section 3.2), with support features X ``[n, f]`` (a 1 appended to each, so that the
classifier has an intercept) and one-hot labels Y ``[n, way]``:

    W = argmin_W ||X W - Y||^2 + lambda ||W||^2 = (X'X + lambda I)^-1 X'Y
      = X' (X X' + lambda I)^-1 Y                          the same by Woodbury's identity, n equations in place of f
    logits(x) = alpha f(x)' W + beta

The meta-loss is the queries' cross-entropy. Learned are the network, lambda > 0 (its logarithm), alpha and beta.

Where it differs from the paper: shot and way of the training tasks are fixed (the paper draws them); lambda is always
learned, as the paper's text says (its code holds it constant); BatchNorm's mode is an option. ``loss="mse"`` regresses
values ``y [tasks, n, outputs]`` in place of labels.

Reference: Bertinetto, Henriques, Torr, Vedaldi: Meta-learning with differentiable closed-form solvers. ICLR 2019.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.core.pad import refuse
from quickstudy.learners.metric.base import FromFeatures, MetricLearner, one_hot


class R2D2(MetricLearner):
    """R2-D2: ridge regression in closed form on learned features; any way and shot, regression too.

    Args:
        model: maps ``[n, ...]`` to features ``[n, f]`` (a net without a head); maps are flattened.
        lam: lambda of the paper at the start of training, > 0; learned.
        scale: alpha, the factor from regression outputs to logits, at the start of training; learned, as beta is.
        loss: ``cross_entropy`` for labels, ``mse`` for values.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        lam: float = 1.0,
        scale: float = 10.0,
        loss: str = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if lam <= 0 or loss not in ("cross_entropy", "mse"):
            raise UsageError(f"R2D2 needs lam > 0 and loss cross_entropy or mse, got {lam} and {loss!r}.")
        self.model = model
        self.lam = lam
        self.scale = scale
        self.loss = loss
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution, adapts=False)
        self.log_lambda = nn.Parameter(torch.tensor(math.log(lam)))
        self.alpha = nn.Parameter(torch.tensor(float(scale) if loss == "cross_entropy" else 1.0))
        self.beta = nn.Parameter(torch.tensor(0.0))

    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """Ridge regression of the one-hot labels (or the values) on the features."""
        x_tnf = with_one(features)
        weights_tfk = ridge_regression(x_tnf, self._targets(y, x_tnf), self.log_lambda.exp())
        return lambda asked: self.alpha * (with_one(asked).double() @ weights_tfk).to(asked.dtype) + self.beta

    def _targets(self, y: Tensor, like: Tensor) -> Tensor:
        if self.loss == "cross_entropy":
            return one_hot(y, like)
        if y.ndim != 3 or not y.is_floating_point():
            raise UsageError(f"loss='mse' needs values y [tasks, n, outputs], got {y.dtype} {[*y.shape]}.")
        refuse(y, "R2D2 regresses on all support examples")
        return y


def with_one(features: Float[Tensor, "tasks n ..."]) -> Float[Tensor, "tasks n f"]:
    """Flat features with a 1 appended to each."""
    return F.pad(features.flatten(2), (0, 1), value=1.0)


def ridge_regression(
    x: Float[Tensor, "tasks n f"], y: Float[Tensor, "tasks n k"], lam: Float[Tensor, ""]
) -> Float[Tensor, "tasks f k"]:
    """X' (X X' + lambda I)^-1 Y of each task, in float64: features of size 1e4 leave nothing of lambda in float32.

    Raises:
        UsageError: features so large that nothing is left of it in float64 either.
    """
    wide = x.double()
    gram = wide @ wide.mT + lam.double() * torch.eye(x.shape[1], dtype=wide.dtype, device=x.device)
    try:
        return wide.mT @ torch.linalg.solve(gram, y.double())
    except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
        raise UsageError(
            f"ridge regression has no solution in floating point: lambda = {float(lam.detach()):.1e} is nothing beside "
            f"features as large as {float(x.detach().abs().max()):.1e}; standardise them, or raise lam."
        ) from error
