"""Sets of drawings of classes: out of a task's examples, how far apart they are, how much they differ."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import Examples
from quickstudy.core.errors import UsageError
from quickstudy.core.pad import refuse

GRID = 7


def by_class(examples: Examples) -> Float[Tensor, "t c n ..."]:
    """The examples of every class of every task, in order of the labels.

    Raises:
        UsageError: the classes of a task are not all of one size, or padding.
    """
    refuse(examples.y, "TaskGAN takes classes of one size")
    order = examples.y.argsort(dim=1, stable=True)
    labels = examples.y.gather(1, order)
    way = int((labels[0].diff() != 0).sum()) + 1
    count, rest = divmod(labels.shape[1], way)
    if rest or (labels.unflatten(1, (way, count)).diff(dim=2) != 0).any():
        raise UsageError("TaskGAN needs tasks whose classes all have the same number of examples.")
    rows = torch.arange(len(order), device=order.device).unsqueeze(1)
    return examples.x[rows, order].unflatten(1, (way, count))


def energy_distance(real: Float[Tensor, "t c k ch h w"], made: Float[Tensor, "t m k ch h w"]) -> Float[Tensor, " t"]:
    """Between sets of drawings; 0, in the mean over many tasks, if real and made ones are distributed alike."""
    a, b = coarse(real), coarse(made)
    across = _distances(a, b).mean((1, 2))
    within = [_distances(s, s).sum((1, 2)) / (s.shape[1] * (s.shape[1] - 1)) for s in (a, b)]
    return 2 * across - within[0] - within[1]


def _distances(a: Float[Tensor, "t c f"], b: Float[Tensor, "t m f"]) -> Float[Tensor, "t c m"]:
    """From the differences: by products, sets of more than 25 would have distances above 0 to themselves."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def coarse(sets: Float[Tensor, "t c k ch h w"]) -> Float[Tensor, "t c f"]:
    """A set as one vector of grey levels on a grid of 7 x 7, whose length is their root mean square.

    Of thin lines any two are as far apart as any other two, pixel by pixel.
    """
    grey = F.adaptive_avg_pool2d(sets.flatten(0, 2), GRID).unflatten(0, sets.shape[:3]).flatten(2)
    return grey / grey.shape[2] ** 0.5


def varieties(made: Float[Tensor, "t c s k ch h w"]) -> tuple[Tensor, Tensor]:
    """How much classes differ, and drawings of a class: shares of the root mean square of all pixels."""
    sets = made.flatten(1, 2)
    means = sets.mean(2)
    of_classes = (means - means.mean(1, keepdim=True)).square().mean()
    of_drawings = (sets - means.unsqueeze(2)).square().mean()
    all_of_it = made.square().mean() + 1e-12
    return (of_classes / all_of_it).sqrt(), (of_drawings / all_of_it).sqrt()


def turned(sets: Float[Tensor, "t c k ch h w"]) -> Float[Tensor, "t c k ch h w"]:
    """The classes turned by 0, 90, 180, 270, 0 ... degrees: which way is up is no matter."""
    return torch.stack([torch.rot90(one, i, (-2, -1)) for i, one in enumerate(sets.unbind(1))], 1)
