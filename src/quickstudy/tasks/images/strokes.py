"""Pen strokes: what a class of glyphs is, how a shaky hand redraws it, and how it becomes pixels.

Legend: g classes, s strokes of all classes together (classes have different numbers of them), n drawings per class,
p points along a stroke. Coordinates are (across, down) in units of half the canvas: the canvas is [-1, 1] squared.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from quickstudy.core.seeding import uniform

POINTS = 40  # along one stroke: at 28 pixels less than a pixel apart
STROKES = 4  # at most, in one class
SPREAD = 1.94  # radians between the directions in which a class's strokes set out (the golden ratio of a half turn)
PEN = 1.6  # width of the pen in pixels, at 28 pixels
BLUR = 0.5  # standard deviation of the pen's tip in pixels, at 28 pixels


@dataclass(frozen=True)
class Strokes:
    """Strokes as curves, with the class (or the drawing) that each belongs to."""

    curves: Float[Tensor, "s p 2"]
    ink: Float[Tensor, " s"]  # per point: the distance to the next point (in canvas units) times the pen's width
    owner: Int[Tensor, " s"]
    owners: int


def draw_classes(classes: int, rng: torch.Generator) -> Strokes:
    """Draw the strokes of ``classes`` new characters, each centred and filling the canvas but for a margin."""
    size = (classes, STROKES)
    curves = _pen_paths(size, rng)  # [g, 4, p, 2], each beginning at its origin
    hook = torch.randint(POINTS, size, generator=rng)  # the point of the earlier stroke that a stroke hangs on
    own = torch.tensor([0, 0, 0, POINTS // 2, POINTS - 1])[torch.randint(5, size, generator=rng)]
    free = uniform(rng, (*size, 2), -0.7, 0.7)
    hangs = torch.rand(size, generator=rng) < 0.75
    rows = torch.arange(classes)
    for j in range(1, STROKES):
        earlier = (torch.rand((classes,), generator=rng) * j).long()
        anchor = torch.where(hangs[:, j, None], curves[rows, earlier, hook[:, j]], free[:, j])
        curves[:, j] += (anchor - curves[rows, j, own[:, j]])[:, None]
    odds = torch.tensor([0.12, 0.34, 0.34, 0.2])  # of a class with 1, 2, 3, 4 strokes
    number = 1 + torch.multinomial(odds.expand(classes, -1), 1, generator=rng).flatten()
    drawn = torch.arange(STROKES) < number[:, None]  # [g, 4]
    low = curves.masked_fill(~drawn[..., None, None], math.inf).amin((1, 2))
    high = curves.masked_fill(~drawn[..., None, None], -math.inf).amax((1, 2))
    extent = high - low  # [g, 2]
    extent = extent.maximum(0.45 * extent.amax(-1, keepdim=True))  # so flat ones are widened, within bounds
    scale = uniform(rng, (classes, 2), 1.05, 1.5) / extent
    curves = (curves - ((low + high) / 2)[:, None, None]) * scale[:, None, None]
    curves = curves[drawn]
    spacing = curves.diff(dim=1).norm(dim=-1).mean(1)
    return Strokes(curves, spacing * PEN, rows[:, None].expand(size)[drawn], classes)


def _pen_paths(size: tuple[int, int], rng: torch.Generator) -> Float[Tensor, "g s p 2"]:
    """Paths of a pen that sets out in some direction and turns: straight, arc, corner or S."""
    s = torch.linspace(0, 1, POINTS)
    kind = torch.multinomial(torch.tensor([0.3, 0.35, 0.2, 0.15]), size[0] * size[1], True, generator=rng).view(size)
    turn = uniform(rng, size, 0.6, 1.5 * math.pi) * (torch.randint(2, size, generator=rng) * 2 - 1)
    bend = uniform(rng, size, 0.3, 0.7)[..., None]
    shapes = torch.stack(
        [
            0.08 * turn[..., None] * s,
            turn[..., None] * s,
            0.5 * turn[..., None] * torch.sigmoid((s - bend) * 60),
            0.8 * turn[..., None] * (s / bend - (s - bend).clamp(min=0) * (1 / bend + 1 / (1 - bend))),
        ]
    )
    start = uniform(rng, (size[0], 1), 0.0, 2 * math.pi) + SPREAD * torch.arange(size[1])
    start = start + 0.4 * torch.randn(size, generator=rng)  # directions within a class are spread out
    heading = start[..., None] + shapes.gather(0, kind[None, ..., None].expand_as(shapes[:1]))[0]
    length = uniform(rng, size, 0.7, 1.5) + 0.15 * turn.abs() * (kind == 1)
    steps = torch.stack([heading.cos(), heading.sin()], -1) * (length / POINTS)[..., None, None]
    return steps.cumsum(-2)


def redraw(classes: Strokes, drawings: int, angle: Float[Tensor, " g"], rng: torch.Generator) -> Strokes:
    """Draw every class ``drawings`` times with a shaky hand, the class turned by ``angle`` radians beforehand.

    Returns:
        strokes ``[s * drawings]`` whose owner is the drawing ``class * drawings + number``.
    """
    strokes = len(classes.curves)
    size = (strokes, drawings)
    s = torch.linspace(0, 1, POINTS)
    wobble = torch.stack([torch.sin(math.pi * s), torch.sin(2 * math.pi * s)])  # [2, p]: bends of a stroke
    centre = classes.curves.mean(1, keepdim=True)
    jitter = _affine(size, rng, turn=0.1, stretch=0.1, shear=0.06)
    whole = _affine((classes.owners, drawings), rng, turn=0.1, stretch=0.1, shear=0.1)
    cos, sin = angle.cos(), angle.sin()
    whole = whole @ torch.stack([cos, sin, -sin, cos], -1).view(-1, 1, 2, 2)
    shift = torch.randn((*size, 1, 2), generator=rng) * 0.035
    bends = torch.randn((*size, 2, 2), generator=rng) * 0.03
    own = whole[classes.owner]  # [s, n, 2, 2]
    relative = (classes.curves - centre)[:, None]  # [s, 1, p, 2]
    move = (torch.randn((classes.owners, drawings, 1, 2), generator=rng) * 0.06)[classes.owner]
    basis = torch.cat([relative.expand(-1, drawings, -1, -1), wobble.T.expand(*size, -1, -1)], -1)  # [s, n, p, 4]
    maps = torch.cat([(own @ jitter).mT, bends], -2)  # [s, n, 4, 2]
    offset = (centre[:, None] + shift) @ own.mT + move
    curves = torch.matmul(basis, maps) + offset
    owner = classes.owner[:, None] * drawings + torch.arange(drawings)
    width = torch.exp(torch.randn((classes.owners, drawings), generator=rng) * 0.15)[classes.owner]
    ink = classes.ink[:, None] * width
    return Strokes(curves.flatten(0, 1), ink.flatten(), owner.flatten(), classes.owners * drawings)


def _affine(size: tuple[int, int], rng: torch.Generator, *, turn: float, stretch: float, shear: float) -> Tensor:
    """Random linear maps near the identity ``[*size, 2, 2]``; the arguments are standard deviations."""
    angle, across, down, slant = (torch.randn((4, *size), generator=rng).clamp(-2.5, 2.5)).unbind(0)
    angle, across, down, slant = angle * turn, 1 + across * stretch, 1 + down * stretch, slant * shear
    return torch.stack([across, slant - angle, slant + angle, down], -1).view(*size, 2, 2)


def render(drawings: Strokes, size: int) -> Float[Tensor, "drawings size size"]:
    """Ink along the curves as pixels in [0, 1]: points splatted bilinearly, blurred by the pen's tip, clamped."""
    pixels = ((drawings.curves + 1) * (size / 2) - 0.5).clamp(0.01, size - 1.01)  # [s, p, (across, down)]
    corner = pixels.long()
    part = pixels - corner
    across, down = part.unbind(-1)
    ink = (drawings.ink * size / 2 * size / 28)[:, None]
    top = ink - ink * down
    below = ink * down
    where = (corner[..., 1] * size + corner[..., 0] + (drawings.owner * size * size)[:, None]).flatten()
    canvas = torch.zeros(drawings.owners * size * size)
    corners = (top - top * across, top * across, below - below * across, below * across)
    for offset, weight in zip((0, 1, size, size + 1), corners, strict=True):
        canvas[offset:].scatter_add_(0, where, weight.flatten())
    steps = torch.arange(size)
    kernel = torch.exp(-0.5 * ((steps - steps[:, None]) / (BLUR * size / 28)) ** 2)
    kernel = kernel * (kernel > 1e-3)  # also keeps denormal numbers, which are slow, out of the products
    kernel = kernel / kernel[size // 2].sum()  # [size, size]: both passes of the blur are products with it
    return (kernel @ (canvas.view(-1, size, size) @ kernel)).clamp_(0, 1)
