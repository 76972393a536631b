"""One forward of a network under one task's tensors, and what of it is run again later.

The network's parameters and buffers are replaced for the length of the call, in BatchNorm's mode. What a checkpoint
(``checkpointing``) runs again in the backward pass is run under the same tensors in the same mode, and the first
forward is watched (``first_look``).
"""

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from quickstudy.core import stateless
from quickstudy.core.batchnorm import BatchNormAs, check_calls
from quickstudy.core.checkpointing import check_not_reentrant, recomputed
from quickstudy.core.errors import UsageError
from quickstudy.core.first_look import Seen, Watched, say_once
from quickstudy.core.heads import Head
from quickstudy.core.model_checks import one_tensor
from quickstudy.core.twice import PLAIN_ATTENTION, differentiable_twice, wanted


@dataclass
class Known:
    """What is found out about a model holds for its copies on other threads, too.

    Args:
        vmap_works: whether vmap can take it.
        looked: in which states (training, with gradients) its forward was watched.
        said: names of which a warning was given.
        norms: the names of its BatchNorm layers in the order in which a forward calls them (None: not seen yet).
    """

    vmap_works: bool = True
    looked: dict[tuple[bool, bool], object] = field(default_factory=dict[tuple[bool, bool], object])
    said: set[str] = field(default_factory=set[str])
    norms: list[str | None] | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> "Known":
        return self


class Forward:
    """A model's forward for one task.

    Args:
        model: any module.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.head: Head | None = None
        """What a learner takes for the model's head, to be held against the first forward."""
        self.known = Known()

    def __call__(self, params: Mapping[str, Tensor], x: Tensor, mode: BatchNormAs) -> Tensor:
        """What the model gives for x under these parameters, its buffers copies that are thrown away.

        Raises:
            UsageError: it gives no tensor, takes no whole numbers where x holds such, or does what cannot be made right
                (see ``first_look``, ``heads``).
        """
        known = self.known
        tensors = {**params, **self._buffers()}
        state = (self.model.training, torch.is_grad_enabled())
        call = self._call if state in known.looked else partial(self._first_call, state, mode)
        try:
            with recomputed(partial(self._again, mode)):
                output = _under(mode, call, tensors, x)
        except RuntimeError as error:
            other = x.is_floating_point() or x.is_complex()
            if other or not re.search(r"dtype|scalar type|[Ii]nput type", str(error)):
                raise
            raise UsageError(
                f"the model failed on x of whole numbers, {str(x.dtype).removeprefix('torch.')}; if it takes none, "
                f"give floating point (x.float()), or begin it with an nn.Embedding. torch says: {error}"
            ) from error
        if mode.record and known.norms is None:
            names = {id(t): name.rpartition(".")[0] for name, t in tensors.items()}
            known.norms = [next((names[id(t)] for t in of if id(t) in names), None) for of in mode.owners]
        return one_tensor(output, self.model)

    def _buffers(self) -> dict[str, Tensor]:
        return {name: b.clone() for name, b in self.model.named_buffers()}

    def _call(self, tensors: dict[str, Tensor], x: Tensor) -> Any:
        return stateless.call(self.model, tensors, (x,))

    def _first_call(self, state: tuple[bool, bool], mode: BatchNormAs, tensors: dict[str, Tensor], x: Tensor) -> Any:
        """The first of its state: watched, and what it showed remembered."""
        known, mine = self.known, object()
        if torch.is_inference_mode_enabled() or known.looked.setdefault(state, mine) is not mine:
            return self._call(tensors, x)  # another thread looks
        seen, fine = Seen(), False
        try:
            output = stateless.call(
                Watched(self.model, seen), {f"model.{name}": t for name, t in tensors.items()}, (x,)
            )
            if isinstance(output, Tensor):
                check_not_reentrant(output)
            check_calls(mode, self.model)
            if self.head is not None:
                self.head.check(seen.used, frozenset(n for n, p in self.model.named_parameters() if p.ndim > 1))
            fine = True
        finally:
            if not fine:  # whoever tries again is told again
                del known.looked[state]
        say_once(seen, known.said)
        return output

    def _again(self, mode: BatchNormAs, part: Callable[..., Any]) -> Callable[..., Any]:
        """What runs a part of this forward later as it runs now: its module objects keep the task's tensors."""
        if not torch.is_grad_enabled():
            return part
        if mode.written_out:
            raise RuntimeError("gradient checkpointing runs parts of the model again outside of vmap")
        later, twice = mode.from_here(), wanted()

        def again(*args: Any, **kwargs: Any) -> Any:
            own = later.from_here()
            with (
                recomputed(partial(self._again, own)),
                differentiable_twice() if twice else nullcontext(),
            ):
                return _under(own, part, *args, **kwargs)

        return again


def _under(mode: BatchNormAs, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # vmap has no rule for attention's fused kernels on a CPU.
    with mode, PLAIN_ATTENTION if mode.written_out else nullcontext():
        return call(*args, **kwargs)
