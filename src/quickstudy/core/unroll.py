"""The one inner loop: a start, an update rule, a number of steps, for a batch of tasks at once.

MAML and its kin, Reptile, the LSTM meta-learner and learned optimizers all run through ``unroll``; they differ in the
start, the rule, and in what of the path is differentiated.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.model_checks import check_differentiable
from quickstudy.core.rule import UpdateRule, UsesLosses
from quickstudy.core.twice import differentiable_twice

Objective = Callable[[Params, int], Float[Tensor, " tasks"]]
"""``objective(params, step) -> losses [tasks]``, each a function of its own task's parameters only."""


def unroll(objective: Objective, start: Params, rule: UpdateRule, *, steps: int, order: int) -> Iterator[Params]:
    """Yield the parameters ``{name: [tasks, ...]}`` after 0, 1, ..., ``steps`` steps of ``rule`` down ``objective``.

    Args:
        order: what the path keeps for a later derivative, where grad mode is on. 2: all of it, so that derivatives
            of the result go through the inner gradients too. 1: the inner gradients count as constants. With grad
            mode off nothing is kept, and memory does not grow with the steps.

    Raises:
        UsageError: an order other than 1 or 2, or negative steps; steps in inference mode.
    """
    if order not in (1, 2) or steps < 0:
        raise UsageError(f"unroll needs order 1 or 2 and steps >= 0, got order={order}, steps={steps}.")
    if steps:
        check_differentiable()
    keep = torch.is_grad_enabled()
    params, state = start, rule.init(start)
    yield params
    for step in range(steps):
        losses, grads = losses_and_gradients(lambda p, k=step: objective(p, k), params, through=keep and order == 2)
        with torch.set_grad_enabled(keep):
            if isinstance(rule, UsesLosses):
                state = rule.with_losses(state, losses)
            params, state = rule.update(params, grads, state)
        yield params


def losses_and_gradients(
    objective: Callable[[Params], Tensor], params: Params, *, through: bool
) -> tuple[Float[Tensor, " tasks"], Params]:
    """Each task's loss and its gradient ``{name: [tasks, ...]}``; differentiable if ``through``, else constants.

    The losses are summed before the one backward pass: a task's loss depends on no other task's parameters.
    Parameters that the loss does not use get zeros.
    """
    with torch.enable_grad():
        at = params if through else {name: p.detach().requires_grad_() for name, p in params.items()}
        # A start without a graph (after no_grad, or plain tensors) still has a gradient.
        at = {name: p if p.requires_grad else p.detach().requires_grad_() for name, p in at.items()}
        with differentiable_twice() if through else nullcontext():
            losses = objective(at)
        grads = torch.autograd.grad(
            losses.sum(), list(at.values()), create_graph=through, allow_unused=True, materialize_grads=True
        )
    return losses if through else losses.detach(), dict(zip(at, grads, strict=True))
