"""A learner's whole meta-gradient as one compiled function.

For a small network the time goes into starting hundreds of tiny operations. So the meta-gradient, inner steps, their
gradients and the derivative through them, is recorded once for the shapes of a batch (``make_fx``) and compiled
(``torch.compile``), which fuses these operations into a few. What is recorded is a straight line: the learner's Python
runs once, and a choice that it makes by looking into the data cannot be recorded.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.errors import UsageError
from quickstudy.core.pad import refuse
from quickstudy.core.precision import low_dtype
from quickstudy.core.recording import recording
from quickstudy.core.stateless import call

Parts = tuple[list[Tensor | None], dict[str, Tensor], dict[str, Tensor]]
"""The fields of a ``MetaGradient``."""
Work = Callable[[nn.Module, TaskBatch], Parts]

_functions: WeakKeyDictionary[nn.Module, dict[Any, Callable[..., Parts]]] = WeakKeyDictionary()


def run_compiled(work: Work, module: nn.Module, batch: Any) -> Parts:
    """``work(module, batch)``, recorded and compiled at the first call for a batch of its shapes.

    Raises:
        UsageError: another batch than a ``TaskBatch``, or ``work`` cannot be recorded or compiled here.
    """
    if not isinstance(batch, TaskBatch):
        raise UsageError(f"only meta-gradients of a TaskBatch can be compiled, got a {type(batch).__name__}.")
    for part in (batch.support, batch.query):
        refuse(part.y, "what is compiled cannot look into its data")
    examples = [batch.support.x, batch.support.y, batch.query.x, batch.query.y]
    tensors = {name: t.detach() for name, t in (*module.named_parameters(), *module.named_buffers())}
    trainable = frozenset(name for name, p in module.named_parameters() if p.requires_grad)
    key = (*((t.shape, t.dtype, t.device) for t in examples), module.training, trainable, low_dtype())
    known = _functions.setdefault(module, {})
    if key not in known:
        known[key] = _compile(work, module, trainable, tensors, examples)
    with torch.no_grad():
        return known[key](tensors, examples)


def _compile(
    work: Work, module: nn.Module, trainable: frozenset[str], tensors: dict[str, Tensor], examples: list[Tensor]
) -> Callable[..., Parts]:
    from torch.fx.experimental.proxy_tensor import make_fx  # it loads much, and few runs compile

    def straight_line(tensors: dict[str, Tensor], examples: list[Tensor]) -> Parts:
        own = {f"module.{name}": t.detach().requires_grad_(name in trainable) for name, t in tensors.items()}
        batch = TaskBatch(Examples(*examples[:2]), Examples(*examples[2:]))
        return call(_Work(module, work), own, (batch,))

    try:
        with recording():
            graph = make_fx(straight_line)(tensors, examples)
        function = torch.compile(graph, fullgraph=True, dynamic=False)
        with torch.no_grad():
            function(tensors, examples)
    except Exception as error:  # of many types: data-dependent choices, operations without a compiled form, no compiler
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UsageError(
            f"{type(module).__name__} cannot be compiled here: {reason} Leave out compile=True (--compile)."
        ) from error
    return function


class _Work(nn.Module):
    def __init__(self, module: nn.Module, work: Work) -> None:
        super().__init__()
        self.module = module
        self.work = work

    def forward(self, batch: TaskBatch) -> Parts:
        return self.work(self.module, batch)
