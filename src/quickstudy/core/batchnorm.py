"""BatchNorm, made explicit: which statistics normalise what, decided here and not by ``module.training``.

Three modes, named in the words of Nichol et al. 2018 (Reptile, section 6) and Bronskill et al. 2020 (TaskNorm):

- ``transductive``: every batch by its own statistics, so a query is normalised with the other queries of its task
  (as MAML's authors did it; the accuracies are higher, and a single query cannot be classified alone);
- ``support``: the query by the statistics of the support set under the adapted weights; no query sees another;
- ``running``: everything by the model's own running statistics as they came with it (a pretrained net). quickstudy
  never changes them.

The modes work on any ``nn.BatchNorm1d``, ``2d``, ``3d`` or subclass (which call ``torch.nn.functional.batch_norm``, or
``fused.conv_block``, which has it inside), through a torch function mode: the module is neither patched nor copied.
Layers are told apart by the order in which one forward calls them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias, get_args, no_type_check

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from quickstudy.core import fused, twice
from quickstudy.core._convolution import convolve
from quickstudy.core._low_products import PRODUCTS
from quickstudy.core.errors import UsageError
from quickstudy.core.precision import low_dtype

Mode: TypeAlias = Literal["transductive", "support", "running"]
Statistics: TypeAlias = tuple[tuple[Tensor, Tensor], ...]
"""Mean and (biased) variance ``[channels]`` of each BatchNorm call of one forward, in call order."""


def check_mode(mode: str, model: nn.Module) -> None:
    """Raise ``UsageError`` if ``mode`` is unknown, or asks for running statistics that the model does not have."""
    if mode not in get_args(Mode):
        raise UsageError(f"bn must be one of {', '.join(get_args(Mode))}, got {mode!r}.")
    if mode != "running":
        return
    for name, layer in _layers(model):
        counted = layer.num_batches_tracked
        if layer.running_mean is None or (counted is not None and int(counted) == 0):
            raise UsageError(
                f"bn='running' normalises by the running statistics that came with the model, but those of layer "
                f"{name!r} were never estimated; pretrain the model, or use bn='support' or bn='transductive'."
            )


def describe(mode: str, model: nn.Module) -> str:
    """The mode as it is printed beside every result: ``none`` where the model has no BatchNorm."""
    return mode if any(True for _ in _layers(model)) else "none"


def check_calls(mode: "BatchNormAs", model: nn.Module) -> None:
    """Raise ``UsageError`` where a forward normalised by a batch although the model seems to have no BatchNorm."""
    if mode.calls and not any(True for _ in _layers(model)):
        raise UsageError(
            "forward calls torch.nn.functional.batch_norm in a layer that is no nn.BatchNorm1d, 2d or 3d: what "
            "normalises what could not be said beside the results; make the layer a subclass of one of these."
        )


def together(described: str) -> bool:
    """Whether queries are normalised with each other, so that a prediction depends on what else is asked."""
    return described == "transductive"


def by_support(described: str) -> bool:
    """Whether queries are normalised by the support set's statistics."""
    return described == "support"


def counts_padding(described: str) -> bool:
    """Whether statistics are of the examples at hand, the padding among them."""
    return together(described) or by_support(described)


def _layers(model: nn.Module) -> Iterable[tuple[str, nn.modules.batchnorm._BatchNorm]]:
    return ((n, m) for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))


@dataclass
class BatchNormAs(TorchFunctionMode):
    """While active, ``F.batch_norm`` normalises by the batch, by given ``fixed`` statistics, or by the running ones.

    Args:
        running: use the layer's own running statistics.
        fixed: statistics to replay, in call order (from an earlier forward's ``seen``).
        record: note each call's batch statistics in ``seen``.
        written_out: compute with elementary operations. Native ``batch_norm`` is faster, but under
            ``grad(vmap(...))`` its second derivative is silently wrong in torch 2.13.
    """

    running: bool = False
    fixed: Statistics | None = None
    record: bool = False
    written_out: bool = False
    seen: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    owners: list[tuple[Tensor | None, Tensor | None]] = field(default_factory=list)
    """Of each call whose statistics are noted, the tensors by which its layer is known: weight and running mean."""
    calls: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def from_here(self) -> "BatchNormAs":
        """The same for the calls that are yet to come, when they are made again."""
        fixed = None if self.fixed is None else self.fixed[self.calls :]
        return BatchNormAs(self.running, fixed, self.record, self.written_out)

    @no_type_check  # by the tests' checks at run time, that is: every torch operation passes here
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        if func is fused.conv_block:
            return self._conv_block(*args, **(kwargs or {}))
        if func in PRODUCTS and (low := low_dtype()) is not None:
            return PRODUCTS[func](low, *args, **(kwargs or {}))
        if func in twice.RECURRENT and twice.wanted():
            with twice.WITHOUT_CUDNN:
                return func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        self.calls += 1
        if self.running:
            assert running_mean is not None, "check_mode lets no such layer pass"
            assert running_var is not None, "check_mode lets no such layer pass"
            return _normalise(x, running_mean, running_var, weight, bias, eps)
        if self.fixed is not None:
            mean, var = self.fixed[self.calls - 1]
            return _normalise(x, mean, var, weight, bias, eps)
        if self.record or self.written_out:
            var, mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
            if self.record:
                self.seen.append((mean, var))
                self.owners.append((weight, running_mean))
            if self.written_out:
                return _normalise(x, mean, var, weight, bias, eps)
        return torch.batch_norm(x, weight, bias, None, None, True, 0.0, eps, torch.backends.cudnn.enabled)

    def _conv_block(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        norm_weight: Tensor,
        norm_bias: Tensor,
        training: bool,
        momentum: float,
        eps: float,
        padding: int,
        pool: bool,
    ) -> Tensor:
        if self.running or self.written_out or not fused.takes(x, weight):
            low = low_dtype()
            convolve_by = F.conv2d if low is None else partial(PRODUCTS[F.conv2d], low)
            y = convolve_by(x, weight, bias, padding=padding)
            z = F.relu(self._batch_norm(y, running_mean, running_var, norm_weight, norm_bias, eps=eps))
            return F.max_pool2d(z, 2) if pool else z
        self.calls += 1
        sign = fused.signs(norm_weight)
        y = convolve(x, weight, bias, sign, padding)
        positive = norm_weight if sign is None else norm_weight * sign
        if self.fixed is None and not self.record:
            return fused.normalised_by_batch(y, positive, norm_bias, eps, pool)
        if self.fixed is not None:
            mean, var = self.fixed[self.calls - 1]
            mean = mean - bias  # statistics are of the convolution with its bias, as on every other path
            mean = mean if sign is None else mean * sign
        else:
            var, mean = torch.var_mean(y, [0, 2, 3], correction=0)
            self.seen.append(((mean if sign is None else mean * sign) + bias, var))
            self.owners.append((norm_weight, running_mean))
        return fused.normalised_by(y, mean, var, positive, norm_bias, eps, pool)


def _normalise(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, folded into one scale and one shift per channel."""
    scale = torch.rsqrt(var + eps) if weight is None else torch.rsqrt(var + eps) * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    channels = [1, -1] + [1] * (x.ndim - 2)
    return x * scale.view(channels) + shift.view(channels)
