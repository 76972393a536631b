"""What torch's fastest kernels lack is a second derivative. Where one is to be taken, those that have it are chosen.

The choice is a setting of the whole process, so whoever comes first makes it and whoever leaves last takes it back:
threads that overlap leave it as it was before the first of them.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


class Shared:
    """A setting of the process, as a context that any number of threads may be in at once."""

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self.make = make
        self.lock = threading.Lock()
        self.inside = 0
        self.setting: AbstractContextManager[Any] | None = None

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                self.setting = self.make()
                self.setting.__enter__()
            self.inside += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside and self.setting is not None:
                self.setting.__exit__(None, None, None)


PLAIN_ATTENTION = Shared(lambda: sdpa_kernel(SDPBackend.MATH))  # pyright: ignore[reportUnknownLambdaType]
WITHOUT_CUDNN = Shared(lambda: torch.backends.cudnn.flags(enabled=False))  # pyright: ignore[reportUnknownLambdaType]
RECURRENT = frozenset({torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu})
"""Layers that cuDNN differentiates once only."""
_here = threading.local()


@contextmanager
def differentiable_twice() -> Generator[None]:
    """What is computed inside, on this thread, has a derivative that can itself be differentiated."""
    before = wanted()
    _here.wanted = True
    try:
        with PLAIN_ATTENTION:
            yield
    finally:
        _here.wanted = before


def wanted() -> bool:
    """Whether this thread is inside ``differentiable_twice``."""
    return getattr(_here, "wanted", False)
