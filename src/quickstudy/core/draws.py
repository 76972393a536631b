"""Random numbers of a batch's tasks and pieces, whichever thread or process computes them.

torch's default generator belongs to the whole process: threads that draw from it get numbers that depend on who came
first. So every piece of a batch has a seed that follows from the batch's and from the number of its first task, and
draws what a default generator of that seed would give. Noise of a learner's own is drawn task by task
(``task_generators``), and so does not depend on pieces either.
"""

import hashlib
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, no_type_check

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from quickstudy.core.seeding import fold, generator

_block = threading.RLock()  # held while the default generator is seeded for a block of code
_swap = threading.RLock()  # held while it is another's for one operation; taken after ``_block``
_here = threading.local()

_NAMES = (
    *("bernoulli", "multinomial", "normal", "poisson", "binomial", "rand", "randn", "randint", "randperm", "rrelu"),
    *("rand_like", "randn_like", "randint_like", "dropout", "dropout_", "alpha_dropout", "alpha_dropout_", "rrelu_"),
    *("feature_dropout", "feature_dropout_", "feature_alpha_dropout", "feature_alpha_dropout_", "native_dropout"),
    *("bernoulli_", "normal_", "uniform_", "random_", "exponential_", "geometric_", "cauchy_", "log_normal_"),
    *("dropout1d", "dropout2d", "dropout3d", "gumbel_softmax", "fractional_max_pool2d", "fractional_max_pool3d"),
    *("scaled_dot_product_attention", "multi_head_attention_forward", "lstm", "gru", "rnn_tanh", "rnn_relu"),
)
_DRAWING = frozenset(getattr(of, name) for of in (torch, Tensor, F) for name in _NAMES if hasattr(of, name))


@dataclass(frozen=True)
class Noise:
    """Where a batch's random numbers come from: a seed, and the number of its first task in a larger batch."""

    seed: int
    first: int = 0


class DrawnInCheckpointError(Exception):
    """What a checkpoint will compute again on the way back draws: it puts back the default generator's state."""


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Generator[None]:
    """The CPU's default generator, and that of a GPU if ``device`` is one, from ``seed``; afterwards as they were.

    One thread at a time. No other device is touched (``torch.manual_seed`` seeds all of them, for good).
    """
    cuda = [device] if device is not None and device.type == "cuda" else []
    with _block, torch.random.fork_rng(cuda):
        _here.blocks = _blocks() + 1
        try:
            torch.default_generator.manual_seed(seed)
            for gpu in cuda:
                with torch.cuda.device(gpu):
                    torch.cuda.manual_seed(seed)
            yield
        finally:
            _here.blocks = _blocks() - 1


@contextmanager
def kept() -> Generator[None]:
    """The default generators of all devices in use are afterwards as they were. One thread at a time."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with _block, torch.random.fork_rng(devices):
        yield


def drawn_since(before: list[Tensor], device: torch.device | None = None) -> bool:
    """Whether anything was drawn from the default generators since ``states(device)`` gave ``before``."""
    return any(not torch.equal(a, b) for a, b in zip(before, states(device), strict=True))


def states(device: torch.device | None = None) -> list[Tensor]:
    """Of the CPU's default generator, and of that of a GPU if ``device`` is one, between other threads' operations."""
    with _swap:
        cuda = device is not None and device.type == "cuda"
        return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device is not None and cuda else [])]


def in_seeded_block() -> bool:
    """Whether this thread is inside ``seeded``."""
    return _blocks() > 0


def _blocks() -> int:
    return getattr(_here, "blocks", 0)


def noise_of_caller() -> Noise:
    """A seed that follows from the state of the default generator, which stays as it is (see ``advance``)."""
    digest = hashlib.blake2b(states()[0].numpy().tobytes(), digest_size=8).digest()
    return Noise(int.from_bytes(digest, "little") >> 1)


def advance() -> None:
    """Take a number from the default generator, so that the next batch draws others."""
    with _swap:
        torch.empty((), device="cpu").uniform_()


def task_generators(tasks: int, what: str) -> list[torch.Generator]:
    """A generator on the CPU for each of the batch's tasks, in order.

    They follow from the piece of a batch that is being computed, wherever that is; or else from the default generator,
    of which a number is taken.

    Args:
        tasks: how many.
        what: what they are for; the same name gives the same numbers again within a piece.
    """
    now: Piece | None = getattr(_here, "piece", None)
    if now is None:
        noise = noise_of_caller()
        advance()
    else:
        noise, now.drew = now.noise, True
    return [generator(noise.seed, "task", noise.first + t, what) for t in range(tasks)]


class Piece:
    """A piece of a batch being computed: what it draws follows from ``noise``.

    Args:
        noise: of the batch, and the number of the piece's first task.
        own: let torch's operations draw from a state of the piece's own. Else they draw from the default generator.
        within: whether the thread that waits for this piece is inside ``seeded``.
    """

    def __init__(self, noise: Noise, *, own: bool, within: bool) -> None:
        self.noise = noise
        self.drew = False
        self.mode = _OwnState(self, within) if own else None

    @property
    def seed(self) -> int:
        return fold(self.noise.seed, "piece", self.noise.first)

    def run(self, work: Callable[[], Any]) -> Any:
        before = getattr(_here, "piece", None)
        _here.piece = self
        try:
            if self.mode is None:
                return work()
            with self.mode:
                return work()
        except DrawnInCheckpointError as error:
            # torch 2.9 ends a checkpoint that failed when its frame goes, which must be on this thread.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            _here.piece = before


class _OwnState(TorchFunctionMode):
    """While active, torch's operations on the CPU draw from a state of the piece's own."""

    def __init__(self, piece: Piece, within: bool) -> None:
        super().__init__()
        self.piece = piece
        self.within = within
        self.state = torch.Generator().manual_seed(piece.seed).get_state()

    @no_type_check  # by the tests' checks at run time, that is: every torch operation passes here
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _DRAWING or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        if torch._C._autograd._top_saved_tensors_default_hooks(False) is not None:
            raise DrawnInCheckpointError
        if not self.within:
            _block.acquire()
        try:
            with _swap:
                outer = torch.get_rng_state()
                torch.set_rng_state(self.state)
                try:
                    return func(*args, **kwargs)
                finally:
                    after = torch.get_rng_state()
                    torch.set_rng_state(outer)
                    self.piece.drew |= not torch.equal(after, self.state)
                    self.state = after
        finally:
            if not self.within:
                _block.release()
