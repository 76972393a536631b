"""Gradient checkpointing inside a network (``torch.utils.checkpoint``, as Hugging Face's too), made right.

A checkpoint keeps a function and its inputs, and runs it again in the backward pass. By then the network's own tensors
are back in place of the task's, and BatchNorm's mode is over. So the function that is run again is exchanged for one
that puts both back, at the moment when the checkpoint is made. torch lets only the one who calls ``checkpoint`` say
what surrounds the second run (``context_fn``), and that is the user's network or a library; hence the one place in
torch through which every non-reentrant checkpoint goes is wrapped here, once. Outside of a learner's forward it does
what it did.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeAlias

import torch.utils.checkpoint
from torch import Tensor

from quickstudy.core.errors import UsageError

Again: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""From a part of a forward, at the moment when it runs first, to what does the same later."""

_now = threading.local()


@contextmanager
def recomputed(again: Again) -> Generator[None]:
    """What a checkpoint keeps of this forward is run again as ``again`` says."""
    before: Again | None = getattr(_now, "again", None)
    _now.again = again
    try:
        with nullcontext() if _torchs is not None else torch.autograd.graph.disable_saved_tensors_hooks(_UNKNOWN):
            yield
    finally:
        _now.again = before


def check_not_reentrant(output: Tensor) -> None:
    """Raise ``UsageError`` where a reentrant checkpoint is in the graph of an output: no inner step can pass it."""
    nodes, known = [output.grad_fn], {output.grad_fn}
    while nodes:
        node = nodes.pop()
        if node is None:
            continue
        if node.name() == "CheckpointFunctionBackward":
            raise UsageError(
                "the model checkpoints with use_reentrant=True, which torch.autograd.grad, and so a learner, cannot "
                "pass through; use torch.utils.checkpoint.checkpoint(..., use_reentrant=False) (Hugging Face: "
                "gradient_checkpointing_enable(gradient_checkpointing_kwargs={'use_reentrant': False}))."
            )
        fresh = {before for before, _ in node.next_functions} - known
        known |= fresh
        nodes.extend(fresh)


def _wrapped(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    again: Again | None = getattr(_now, "again", None)
    return _torchs(function if again is None else again(function), *args, **kwargs)


_PLACE = "_checkpoint_without_reentrant_generator"
_UNKNOWN = "gradient checkpointing is made otherwise in this version of torch than quickstudy knows; switch it off."
_torchs: Any = getattr(torch.utils.checkpoint, _PLACE, None)
if _torchs is not None:
    setattr(torch.utils.checkpoint, _PLACE, _wrapped)
