"""What learners that make a task's head share: which layer it is, the features that it sees, and the classes' means.

Axes: t tasks, n examples, k classes, f features.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.batchnorm import Statistics
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params, TaskModel, trainable
from quickstudy.core.heads import find_head

ABSENT = -1e9  # the bias of a class without examples: no probability, and no gradient either


def linear_head(net: TaskModel, needs: str) -> tuple[str, str]:
    """The names of the head's weight and bias; the network's first forward must show that it is one.

    Args:
        net: the network.
        needs: who needs them and why, the beginning of the message.

    Raises:
        UsageError: the head is no trainable linear layer with a bias.
    """
    model, found = net.model, find_head(net.model)
    net.expect(found)
    prefix = next(iter(found.names)).rpartition(".")[0]
    head = model.get_submodule(prefix)
    weight, bias = (f"{prefix}.{part}" if prefix else part for part in ("weight", "bias"))
    if not isinstance(head, nn.Linear) or not {weight, bias} <= trainable(model).keys():
        raise UsageError(f"{needs}: the model's head must be a trainable nn.Linear with a bias, got {head}.")
    return weight, bias


def body_features(
    net: TaskModel, params: Params, head: tuple[str, str], x: Tensor, statistics: Statistics | None = None
) -> Float[Tensor, "t n f"]:
    """What the head sees of x: with the identity as its head, the network gives its features."""
    net.look(params, x)
    weight, bias = head
    w_tkf = params[weight]
    eye = torch.eye(w_tkf.shape[2], dtype=w_tkf.dtype, device=x.device).expand(len(w_tkf), -1, -1)
    return net.forward({**params, weight: eye, bias: torch.zeros_like(eye[:, 0])}, x, statistics)


def means_by_class(
    f_tnf: Float[Tensor, "t n f"], y_tn: Tensor, classes: int, who: str
) -> tuple[Float[Tensor, "t k f"], Float[Tensor, "t k"]]:
    """The mean features of each class (zeros where it has no examples), and how many examples it has.

    Raises:
        UsageError: labels that are no classes.
    """
    if y_tn.ndim != 2 or y_tn.is_floating_point():
        raise UsageError(f"{who} needs classes [tasks, n], as integers, got {y_tn.dtype} {[*y_tn.shape]}.")
    belongs_tnk = (y_tn[..., None] == torch.arange(classes, device=y_tn.device)).to(f_tnf.dtype)
    count_tk = belongs_tnk.sum(1)
    return belongs_tnk.mT @ f_tnf / count_tk.clamp(min=1)[..., None], count_tk


def prototype_head(
    c_tkf: Float[Tensor, "t k f"], count_tk: Float[Tensor, "t k"]
) -> tuple[Float[Tensor, "t k f"], Float[Tensor, "t k"]]:
    """The weight and bias whose logits are minus the squared distances to the classes' means, up to a number for all.

    With m the mean of the classes' means: ``2 (c_k - m) . f - (c_k - m) . (c_k + m)``, which is
    ``-|f - c_k|^2 + |f - m|^2`` and keeps its digits where all features are large and close to one another.
    """
    there_tk1 = (count_tk > 0).unsqueeze(-1)
    m_t1f = c_tkf.sum(1, keepdim=True) / there_tk1.sum(1, keepdim=True).clamp(min=1)
    apart_tkf = (c_tkf - m_t1f).where(there_tk1, 0.0)
    return 2 * apart_tkf, torch.where(count_tk > 0, -(apart_tkf * (c_tkf + m_t1f)).sum(-1), ABSENT)
