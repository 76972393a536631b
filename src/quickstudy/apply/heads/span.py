"""Few rows of many features in as many coordinates as there are rows: heads find the same, many times faster."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from quickstudy.apply.heads.candidates import Candidate
from quickstudy.apply.heads.transform import Transform, centre


@dataclass(frozen=True)
class Span:
    """Rows in orthonormal coordinates of what they span: lengths and products are those of the rows.

    Attributes:
        rows: ``[n, r]``, after ``Transform.spread``.
        guess: of their mean, ``[r]``, if there is one.
        basis: the coordinates' directions, ``[r, f]``.
    """

    rows: Float[np.ndarray, "n r"]
    guess: Float[np.ndarray, " r"] | None
    basis: Float[np.ndarray, "r f"]

    @staticmethod
    def of(transform: Transform, x: torch.Tensor) -> "Span":
        """Of rows ``[n, f]``."""
        rows, guess = transform.spread(x).numpy(), transform.guess
        known = rows if guess is None else np.concatenate([rows, guess.numpy()[None]])
        if len(known) >= known.shape[1]:
            basis = np.eye(known.shape[1])
        else:
            basis = np.linalg.qr(known.T)[0].T
            known = known @ basis.T
        return Span(known[: len(rows)], None if guess is None else known[-1], basis)

    def fit(
        self, candidate: Candidate, y: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"], chosen: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A head on the chosen rows: weights ``[classes, r]``, biases ``[classes]``; and all rows, transformed."""
        z = self.rows
        if candidate.spec.centre:
            guess = None if self.guess is None else torch.from_numpy(self.guess)
            rows = torch.from_numpy(z[chosen])
            z = z - centre(rows, torch.from_numpy(weight[chosen]), guess).numpy()
            z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
        return *candidate.fit(z[chosen], y[chosen], weight[chosen]), z
