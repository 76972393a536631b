"""The part of the paper that is drawn on, brought to one size: wherever a drawing is, however large, it looks the same.

Of the ink in every column (and row), as shares of all ink, the first and the last hundredth or so do not count; the box
around the rest, a little larger, is what is seen. Narrow boxes are widened: half way, on a logarithmic scale, from the
square to what fills it, so that a bar is no block and a flat word has height. Resizing is linear and smooth where it
makes smaller (a triangle as wide as a pixel of the result), and a product with one small matrix for each side.
"""

from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

CUT = 0.005  # of the ink, beyond each side of the box
MARGIN = 1.12  # the window by the box
ASPECT = 0.5  # 0: the box's sides become a square's sides as they are; 1: whatever they are, they fill it
LEAST = 1e-3  # ink, in pixels, below which there is none

Sides: TypeAlias = tuple[float, float] | Float[Tensor, "2 n"]
"""A number down and one across, the same for all drawings or each drawing's own."""


def ink_frame(
    x: Float[Tensor, "n 1 height width"],
    window: int,
    margin: Sides = (MARGIN, MARGIN),
    shift: Sides = (0.0, 0.0),
) -> Float[Tensor, "n 1 window window"]:
    """The box around the ink of every drawing, as ``window`` pixels squared; of paper without ink, paper.

    Args:
        x: drawings, ink = 1 and paper = 0.
        window: height and width in pixels of what is seen.
        margin: what is seen by the box.
        shift: how far its middle is from the box's, in half sides of the box.
    """
    paper = x.squeeze(1)
    down, half_down = _extent(paper.sum(2))
    across, half_across = _extent(paper.sum(1))
    longest = torch.maximum(half_down, half_across) ** (1 - ASPECT)
    seen_down, seen_across = margin[0] * longest * half_down**ASPECT, margin[1] * longest * half_across**ASPECT
    rows = _resize(down + shift[0] * half_down, seen_down, paper.shape[1], window)
    columns = _resize(across + shift[1] * half_across, seen_across, paper.shape[2], window)
    return (rows @ paper @ columns.mT).unsqueeze(1)


def _extent(ink: Float[Tensor, "n places"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """The middle of the ink along one side, and half its length, in pixels from the edge."""
    share = ink.cumsum(1) / ink.sum(1, keepdim=True).clamp(min=LEAST)
    low = (share < CUT).to(ink).sum(1)
    high = ((share < 1 - CUT).to(ink).sum(1) + 1).clamp(max=ink.shape[1])
    return (low + high) / 2, ((high - low) / 2).clamp(min=1)


def _resize(
    middle: Float[Tensor, " n"], half: Float[Tensor, " n"], places: int, window: int
) -> Float[Tensor, "n window places"]:
    """What each pixel of the window takes from each place along the side."""
    step = (2 * half / window)[:, None, None]
    seen = torch.arange(window, device=middle.device).to(middle).unsqueeze(-1) + 0.5 - window / 2
    at = middle[:, None, None] + step * seen
    own = torch.arange(places, device=middle.device).to(middle) + 0.5
    weights = (1 - (at - own).abs() / step.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1)
