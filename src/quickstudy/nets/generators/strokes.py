"""A generator that draws with a pen: lines from codes, as images, differentiable.

Axes: n classes, k drawings of a class, l lines, p points of a line, m control points.

A class is a plan of L lines. Each is a cubic B-spline through M control points, which begin somewhere and go on by
steps, and has a pressure; the pen's width is the class's, too:

    c_l1, c_l2 - c_l1, ... ; w_l; width  =  P(u)                      u a class's code
    control points of a drawing          =  A (c + J([h(u), z])) + b  z a drawing's code; A, b near the identity

J, A and b, which z is for, begin small: two drawings of a class are from the start the same plan, drawn twice. The ink
at a pixel is the sum over the points of all lines of w_l times the length of the line there times a Gaussian of the
distance, which is a product of two small matrices; the image is 1 - exp(-(a ink)^2), a the blackness, learned.

Characters as composed of strokes, drawn again with a shaky hand: Lake, Salakhutdinov, Tenenbaum: Human-level concept
learning through probabilistic program induction. Science 2015. Here no strokes are given: they are what the critic of
``quickstudy.nets.generators.class_images`` takes for drawings.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.nets.backbones.mlp import linear_layers
from quickstudy.nets.generators.class_images import check_images
from quickstudy.nets.generators.critic import at_scale_one

CONTROLS = 6  # control points of a line
POINTS = 32  # points of a line that leave ink
# Standard deviations of a plan at first, where an image is two wide.
START, STEP, TURN, PRESSURE, PEN = 0.4, 0.15, 0.12, 2.0, 0.2
WIDTH = 0.035  # of the pen
SHAKE, LEAN, MOVE = 0.06, 0.12, 0.08  # standard deviations of what a drawing changes


class StrokeGenerator(nn.Module):
    """Line drawings with values in [0, 1] from codes of classes and of drawings.

    Args:
        x_shape: of an image, ``(1, size, size)``.
        class_code: numbers in a class's code.
        drawing_code: numbers in a drawing's code.
        width: of hidden layers.
        lines: of a class.

    Raises:
        UsageError: images in colour, or what is no image.
    """

    basis: Tensor
    spread: Tensor
    straight: Tensor

    def __init__(
        self, x_shape: tuple[int, ...], class_code: int, drawing_code: int, *, width: int = 256, lines: int = 5
    ) -> None:
        super().__init__()
        channels, self.size = check_images(x_shape)
        if channels != 1:
            raise UsageError(
                f"strokes are drawn in one colour, not in {channels} channels; use generator_type='pixels'."
            )
        self.lines = lines
        self.plan = linear_layers(class_code, width, width, activation=lambda: nn.LeakyReLU(0.2))
        self.of_plan = nn.Linear(width, lines * (2 * CONTROLS + 3) + 1)
        self.shake = nn.Linear(width + drawing_code, width)
        self.of_shake = nn.Linear(width, lines * 2 * CONTROLS + 6)
        for last in (self.of_plan, self.of_shake):
            nn.init.normal_(last.weight, std=width**-0.5)
        self.blackness = nn.Parameter(torch.tensor(-0.3))
        spread = torch.tensor([START] + [TURN] * (CONTROLS - 1)).view(-1, 1)
        self.register_buffer("spread", spread, persistent=False)
        self.register_buffer("straight", STEP * torch.arange(CONTROLS).view(-1, 1), persistent=False)
        self.register_buffer("basis", splines(CONTROLS, POINTS), persistent=False)

    def forward(self, classes: Float[Tensor, "n u"], drawings: Float[Tensor, "n k z"]) -> Float[Tensor, "n k 1 h w"]:
        """``k`` drawings of each class."""
        n, k, _ = drawings.shape
        h = F.leaky_relu(at_scale_one(self.plan(classes)), 0.2)
        path, way, pressure, pen = self.of_plan(h).split([self.lines * 2 * CONTROLS, 2 * self.lines, self.lines, 1], 1)
        controls = (path.view(n, self.lines, CONTROLS, 2) * self.spread).cumsum(2)
        controls = controls + self.straight * way.view(n, self.lines, 1, 2)
        own = torch.cat([h.unsqueeze(1).expand(-1, k, -1), drawings], 2)
        change = self.of_shake(at_scale_one(F.leaky_relu(self.shake(own), 0.2)))
        shake, lean, move = change.split([self.lines * 2 * CONTROLS, 4, 2], 2)
        shaken = controls.unsqueeze(1) + SHAKE * shake.view(n, k, self.lines, CONTROLS, 2)
        lean = torch.eye(2, dtype=lean.dtype, device=lean.device) + LEAN * lean.view(n, k, 1, 2, 2)
        placed = shaken @ lean + MOVE * move.view(n, k, 1, 1, 2)
        points = self.basis @ placed  # [n, k, l, p, 2]
        ink = (PRESSURE * pressure).sigmoid().view(n, 1, self.lines, 1) * lengths(points)
        pen = WIDTH * (PEN * pen).exp().view(n, 1, 1, 1).expand(-1, k, -1, -1)
        drawn = splat(points.flatten(2, 3), ink.flatten(2), self.size, pen)
        return (1 - (-((self.blackness.exp() * drawn) ** 2)).exp()).unsqueeze(2)


def splines(controls: int, points: int) -> Float[Tensor, "points controls"]:
    """The weights of control points in points along a clamped uniform cubic B-spline (de Boor's recursion)."""
    inner = torch.linspace(0, 1, controls - 2, dtype=torch.float64)
    knots = torch.cat([torch.zeros(3, dtype=torch.float64), inner, torch.ones(3, dtype=torch.float64)])
    t = torch.linspace(0, 1 - 1e-9, points, dtype=torch.float64).unsqueeze(1)
    b = ((knots[:-1] <= t) & (t < knots[1:])).double()
    for d in (1, 2, 3):
        below, above = knots[d:-1] - knots[: -d - 1], knots[d + 1 :] - knots[1:-d]
        left = (t - knots[: -d - 1]) / below.where(below > 0, torch.inf)
        right = (knots[d + 1 :] - t) / above.where(above > 0, torch.inf)
        b = left * b[:, :-1] + right * b[:, 1:]
    return b.float()


def lengths(points: Float[Tensor, "*n p 2"]) -> Float[Tensor, "*n p"]:
    """Of the line around each of its points; at least a hundredth, so that a dot is seen."""
    steps = (points.diff(dim=-2).square().sum(-1) + 1e-8).sqrt()
    return (F.pad(steps, (1, 0)) + F.pad(steps, (0, 1))) / 2 + 0.01


def splat(
    points: Float[Tensor, "*n p 2"], ink: Float[Tensor, "*n p"], size: int, pen: Float[Tensor, "*n 1 1"]
) -> Float[Tensor, "*n size size"]:
    """Ink at every pixel: Gaussians of width ``pen`` around the points (across, down), the image two wide."""
    places = (torch.arange(size, dtype=points.dtype, device=points.device) + 0.5) * (2 / size) - 1
    near = (-((points.unsqueeze(-1) - places) ** 2) / (2 * pen.unsqueeze(-1) ** 2)).exp() / pen.unsqueeze(-1)
    across, down = near.unbind(-2)  # [*n, p, size]
    return (down * ink.unsqueeze(-1)).mT @ across * pen
