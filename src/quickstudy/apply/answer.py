"""What a classifier says of one picture of a stream."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from quickstudy.encoders.reading import Source


@dataclass(frozen=True)
class Answer:
    """What one picture is taken for."""

    source: Source
    label: Any = None
    """The most probable class, or what unknown ones are called."""
    probabilities: Float[np.ndarray, " classes"] | None = None
    """In the order of ``classes_``."""
    unknown_score: float | None = None
    problem: str | None = None
    """Why there is no answer: it could not be read."""
