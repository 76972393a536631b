"""Metrics for TensorBoard, beside the run's own: where they cannot be written, training goes on without them."""

import contextlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quickstudy.core.errors import UsageError


class Board:
    """A writer into ``tensorboard`` in a run's folder; it writes in a thread of its own, and fails late.

    Raises:
        UsageError: the extra is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError("tensorboard=True needs the extra: pip install 'quickstudy[tensorboard]'.") from error
        self._writer: Any = None
        self._attempt(lambda: setattr(self, "_writer", SummaryWriter(str(folder / "tensorboard"))))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by name, at an outer step."""
        for name, value in values.items():
            self._attempt(lambda name=name, value=value: self._writer and self._writer.add_scalar(name, value, step))

    def close(self) -> None:
        """Write what is left."""
        self._attempt(lambda: self._writer and self._writer.close())

    def _attempt(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # a full disk, mostly; whatever it is, it is not worth a training
            writer, self._writer = self._writer, None
            with contextlib.suppress(Exception):
                writer.close()
            warnings.warn(f"no more is written for TensorBoard ({error}); the run goes on.", stacklevel=4)
