"""From places in a data set to a batch's pixels: gathered, turned, changed a little, as float."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from quickstudy.tasks.images._buffers import floats
from quickstudy.tasks.images.affine import warp
from quickstudy.tasks.images.augment import mirrored, recolored, shifted

AT_ONCE = 350_000  # bytes of images that are gathered and made float together: they stay in the processor's cache


@dataclass(frozen=True)
class Changes:
    """What is done to each image of a batch; None: nothing.

    Args:
        quarters: by how many quarters it is turned, counter-clockwise.
        shifts: see ``augment.shifted``.
        mirror: whether left and right are changed round.
        maps: see ``affine.warp``.
        colors: see ``augment.recolored``.
    """

    quarters: Int[Tensor, "*n"] | None = None
    shifts: Int[Tensor, "*n 2"] | None = None
    mirror: Bool[Tensor, "*n"] | None = None
    maps: Float[Tensor, "*n 2 3"] | None = None
    colors: Float[Tensor, "*n 3"] | None = None

    def __getitem__(self, part: tuple[slice, ...]) -> "Changes":
        return Changes(**{name: None if each is None else each[part] for name, each in vars(self).items()})

    def __bool__(self) -> bool:
        return any(each is not None for each in vars(self).values())

    def flat(self) -> "Changes":
        """With the axes ``[tasks, way, n]`` as one."""
        return Changes(**{name: None if each is None else each.flatten(0, 2) for name, each in vars(self).items()})


def pictures(
    images: Shaped[Tensor, "total ..."], index: Int[Tensor, " n"], changes: Changes
) -> Shaped[Tensor, "n ..."]:
    """``images[index]``, changed; uint8 as float32 in [0, 1]."""
    if images.dtype != torch.uint8 and not changes:
        return images.index_select(0, index)
    x = floats((len(index), *images.shape[1:]))
    size = max(1, AT_ONCE // max(1, images[:1].numel()))
    for start in range(0, len(index), size):
        part = slice(start, start + size)
        _fill(x[part], images, index[part], changes[part,])
    return x


def _fill(
    x: Float[Tensor, "n ..."], images: Shaped[Tensor, "total ..."], index: Int[Tensor, " n"], changes: Changes
) -> None:
    found = images.index_select(0, index) if changes.quarters is None else _turned(images, index, changes.quarters)
    if changes.shifts is not None:
        found = shifted(found, changes.shifts)
    if changes.mirror is not None:
        found = mirrored(found, changes.mirror)
    x.copy_(found)
    if images.dtype == torch.uint8:
        x.div_(255)
    if changes.maps is not None:
        x.copy_(warp(x, changes.maps))
    if changes.colors is not None:
        x.copy_(recolored(x, changes.colors))


def _turned(
    images: Shaped[Tensor, "total c h h"], index: Int[Tensor, " n"], quarters: Int[Tensor, " n"]
) -> Shaped[Tensor, "n c h h"]:
    """``images[index]``, image i turned counter-clockwise by ``90 * quarters[i]`` degrees (quarters in 0..3)."""
    order = quarters.argsort()
    blocks = images.index_select(0, index[order]).split(torch.bincount(quarters, minlength=4).tolist())
    turned = torch.cat([torch.rot90(block, quarter, dims=(-2, -1)) for quarter, block in enumerate(blocks)])
    return turned.index_select(0, order.argsort())
