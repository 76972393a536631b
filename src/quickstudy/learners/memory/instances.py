"""How a MANN does over a stream: accuracy by instance."""

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.learners.memory import streams
from quickstudy.learners.memory.mann import MANN


def by_instance(learner: MANN, batch: TaskBatch) -> Float[Tensor, "tasks instances"]:
    """How often a class was told right when it was seen the 1st, 2nd, ... time in its task's stream, mean over classes.

    An instance that no class of a task has is nan.
    """
    with torch.no_grad():
        log_p, y = learner.read_stream(batch)
    right, seen = (log_p.argmax(-1) == y).double(), streams.presentations(y, learner.out_features)
    at = seen.unsqueeze(-1) == torch.arange(int(seen.max()) + 1, device=y.device)
    return (right.unsqueeze(-1) * at).sum(1) / at.sum(1)
