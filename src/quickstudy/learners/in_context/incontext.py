"""In-context learning: a transformer reads the labelled support rows as tokens and answers queries; to learn a new task
is to read it, and what is meta-learned is how to read.

Equations, with an embedding f and a transformer of two parts (``quickstudy.nets.ContextTransformer``):

    memory       =  read( {(f(x_i), y_i)} )      support rows attend to support rows, once
    prediction   =  answer( f(x), memory )       each query attends to what was read, never to another query

The meta-loss is the queries' cross-entropy, or minus the log-likelihood under a normal distribution whose mean and
standard deviation are predicted. There are no positions: the order of the support rows does not matter. Classes are
not told apart by learned embeddings of their labels but by one state per class under shared weights: renaming classes
renames predictions, and the way is free.

With ``table=True`` x are the columns of a table: they are standardised by the support set (a missing value, nan, counts
as its mean), and rows are told apart by comparing them alone, so that the columns may come in any order and number.

Where it differs from the literature: a plain transformer has an embedding per label and reads the row's numbers by a
linear layer (TabPFN), and all its heads are normalised by softmax. Here attention also compares rows directly, half of
the heads are linear, and labels have states of their own, which makes the symmetries exact instead of learned.

References: Garg, Tsipras, Liang, Valiant: What can transformers learn in-context? NeurIPS 2022. Müller, Hollmann,
Arango, Grabocka, Hutter: Transformers can do Bayesian inference. ICLR 2022. Hollmann, Müller, Eggensperger, Hutter:
TabPFN. ICLR 2023.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.core.pad import present, refuse_counted
from quickstudy.learners.metric.base import FromFeatures, MetricLearner, feature_shape
from quickstudy.nets.context import ContextTransformer

ABSENT = -1e4  # the logit of a class that a task of the batch does not have


class InContext(MetricLearner):
    """In-context learning: a transformer reads the support set; queries attend to what was read.

    Args:
        model: maps ``[n, ...]`` to features ``[n, f]`` (a net without a head); maps are flattened.
        loss: ``cross_entropy`` for labels (logits), ``gaussian`` for values (mean and standard deviation).
        out_features: numbers in y of a regression; classes are counted in the support set.
        table: the features are columns of a table: standardised by the support, in any order and number.
        width: of the state of a token, a multiple of ``heads``.
        label_width: of the state per class or predicted value.
        layers: how many times rows attend to the support.
        heads: attention heads, an even number: half softmax, half linear.
        groups: weightings of the features by which rows are compared.
        whitened: comparisons of rows whose features are whitened within classes; costs the number of features cubed.
        min_std: least standard deviation of a regression's predictions, in units of y.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range, or a model without a ``feature_shape``.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "cross_entropy", "regression": "gaussian"}

    def __init__(
        self,
        model: nn.Module,
        *,
        loss: str = "cross_entropy",
        out_features: int = 1,
        table: bool = False,
        width: int = 64,
        label_width: int = 32,
        layers: int = 6,
        heads: int = 8,
        groups: int = 4,
        whitened: int = 0,
        min_std: float = 0.1,
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if loss not in ("cross_entropy", "gaussian") or min_std <= 0:
            raise UsageError(
                f"InContext needs loss cross_entropy or gaussian and min_std > 0, got {loss!r} and {min_std}."
            )
        self.model = model
        self.loss = loss
        self.out_features = out_features
        self.table = table
        self.width = width
        self.label_width = label_width
        self.layers = layers
        self.heads = heads
        self.groups = groups
        self.whitened = whitened
        self.min_std = min_std
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution, adapts=False)
        self.transformer = ContextTransformer(
            features=None if table else math.prod(feature_shape(model)),
            width=width,
            label_width=label_width,
            layers=layers,
            heads=heads,
            groups=groups,
            whitened=whitened,
            numbers=2 if loss == "gaussian" else 1,
        )

    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """Read the support set."""
        refuse_counted(y, self.bn_mode, "InContext")
        here = present(y)
        labels_tno = self._labels(y, features.dtype)
        there = labels_tno.any(1) if self.loss == "cross_entropy" else torch.ones_like(labels_tno[:, 0]).bool()
        rows_tnf = features.flatten(2)
        scale = Standardise(rows_tnf, here) if self.table else None
        read = self.transformer.read(rows_tnf if scale is None else scale(rows_tnf), labels_tno, here, there)

        def predict(asked: Tensor) -> Tensor:
            rows_tqf = asked.flatten(2)
            out_tqoc = self.transformer.answer(read, rows_tqf if scale is None else scale(rows_tqf))
            if self.loss == "cross_entropy":
                return out_tqoc.squeeze(-1).masked_fill(~there.unsqueeze(1), ABSENT)
            mean, raw = out_tqoc.unbind(-1)
            return torch.stack([mean, self.min_std + F.softplus(raw)], -1)

        return predict

    def _labels(self, y: Tensor, dtype: torch.dtype) -> Float[Tensor, "tasks n outputs"]:
        """One-hot labels, or the values; zero where there is no example."""
        if self.loss == "gaussian":
            if not y.is_floating_point() or y.ndim != 3:
                raise UsageError(f"loss='gaussian' needs values y [tasks, n, outputs], got {y.dtype} {[*y.shape]}.")
            return y.nan_to_num(0.0).to(dtype)
        if y.is_floating_point() or y.ndim != 2 or int(y.min()) < -1:
            raise UsageError(
                f"labels must be integers [tasks, n], 0 or more (-1: padding), got {y.dtype} {[*y.shape]}."
            )
        return (y.unsqueeze(-1) == torch.arange(int(y.max()) + 1, device=y.device)).to(dtype)


class Standardise:
    """Columns in units of their standard deviation among the support rows; beyond three they grow as their logarithm.

    All is reckoned from the middle of a column and in halves of its range, so that neither a column's size nor how
    small its spread is beside its mean matters, as long as its numbers differ by more than rounding.

    Args:
        rows: the support, ``[tasks, n, f]``; nan where a value is missing.
        here: which rows are no padding.
    """

    def __init__(self, rows: Float[Tensor, "tasks n f"], here: Bool[Tensor, "tasks n"]) -> None:
        known = here.unsqueeze(-1) & ~rows.isnan()
        count = known.sum(1, keepdim=True)
        given = rows.detach()
        low = given.masked_fill(~known, torch.inf).amin(1, keepdim=True)
        high = given.masked_fill(~known, -torch.inf).amax(1, keepdim=True)
        half = high / 2 - low / 2
        self.varies = half > 2 * torch.finfo(rows.dtype).eps * torch.maximum(low.abs(), high.abs())
        self.middle = (low / 2 + high / 2).where(self.varies, 0.0)
        self.half = half.where(self.varies, 1.0)
        at = ((rows - self.middle) / self.half).masked_fill(~known, 0)
        self.mean = at.sum(1, keepdim=True) / count.clamp(min=1)
        squares = (at - self.mean).masked_fill(~known, 0).square().sum(1, keepdim=True)
        # A column that does not vary is zero below: its root, which has no derivative there, is not taken.
        self.std = (squares / (count - 1).clamp(min=1)).where(self.varies, 1.0).sqrt()

    def __call__(self, rows: Float[Tensor, "tasks m f"]) -> Float[Tensor, "tasks m f"]:
        """Rows in these units; a column that does not vary in the support is zero, as is a missing value."""
        scaled = ((rows - self.middle) / self.half - self.mean) / self.std
        return 3 * torch.asinh(scaled.where(self.varies, 0.0).nan_to_num(0.0) / 3)
