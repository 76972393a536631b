"""Tasks are a function of their arguments: what else is set in the process or the thread must not show in them.

Autocast, a default dtype or device, grad and inference mode all change what an unsuspecting ``sample`` gives. So tasks
are drawn with all of these as they are when nobody touched them.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch

from quickstudy.core.batch import B_co, TaskDistribution
from quickstudy.core.draws import kept

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
_dtype = threading.RLock()  # the default dtype is the process's
_here = threading.local()


def sample(tasks: TaskDistribution[B_co], number: int, seed: int) -> B_co:
    """``tasks.sample(number, seed)``, as if nothing had been set, whoever wrote it; if it seeds torch, nobody sees."""
    with as_if_nothing_was_set(), kept():
        return tasks.sample(number, seed)


def pure(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """A ``sample`` that does not depend on what is set around it (see above)."""

    @wraps(method)
    def sampled(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        with as_if_nothing_was_set():
            return method(self, *args, **kwargs)

    return sampled


@contextmanager
def as_if_nothing_was_set() -> Generator[None]:
    """No autocast, float32 and the CPU by default, grad mode on and inference mode off."""
    if getattr(_here, "inside", False):
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.enter_context(_float32_by_default())
        _here.inside = True
        try:
            yield
        finally:
            _here.inside = False


@contextmanager
def _float32_by_default() -> Generator[None]:
    with _dtype:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(before)
