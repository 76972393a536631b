"""What the shipped character learner is trained on: tasks within alphabets, every drawing distorted by itself."""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.purity import pure
from quickstudy.core.seeding import generator
from quickstudy.nets.backbones.ink_frame import MARGIN, ink_frame
from quickstudy.tasks.images._omniglot_splits import split_characters
from quickstudy.tasks.images.omniglot_files import DRAWINGS, find_root, load_characters

POINTS = 7  # of the net of control points by which a drawing is bent, along each side


class Alphabets:
    """Tasks of ``way`` characters of as few alphabets as give them, one drawing to learn each from, one to ask.

    So most of what a character is told from is of its own alphabet, as in the hard protocol. All characters of an
    alphabet are turned by the same quarter turns, and mirrored or not: eight alphabets of each. Every drawing is bent,
    turned, stretched and sheared, made thinner or thicker and paler or darker, and framed a little beside its ink, by
    itself.

    Args:
        split: of Lake's split: ``train``, ``val`` or ``trainval`` (all background alphabets).
        way: characters per task.
        part: the share of a task's characters that one alphabet may give.
        strength: of the distortions; 1: up to 20 degrees, a factor of 1.28 each way, a shear of 0.3.
        bend: standard deviation of the control points, of half the drawing's side.
        jitter: of the frames: margins up to so much less or more, and half as much to a side.
        size: height and width of the drawings in pixels.
        window: height and width of what is seen of them.
    """

    kind: ClassVar[str] = "classification"

    def __init__(
        self,
        *,
        split: str = "trainval",
        way: int = 48,
        part: float = 0.5,
        strength: float = 1.0,
        bend: float = 0.1,
        jitter: float = 0.15,
        size: int = 64,
        window: int = 32,
    ) -> None:
        self.split, self.way, self.part = split, way, part
        self.strength, self.bend, self.jitter, self.size, self.window = strength, bend, jitter, size, window
        root = find_root(None)
        characters = load_characters(root, size)
        self._images = characters.images.view(-1, DRAWINGS, size, size)
        members: dict[str, list[int]] = defaultdict(list)
        for index in split_characters(characters, protocol="lake", split=split, root=root):
            members[characters.names[index].split("/")[0]].append(index)
        self._alphabets = [torch.tensor(indices) for indices in members.values()]
        self._basis = _splines(size)
        self.x_shape, self.outputs = (1, window, window), way

    def describe(self) -> str:
        """One line for people."""
        count = sum(map(len, self._alphabets))
        return f"Omniglot {self.split} by alphabets ({count} characters), {self.way}-way 1-shot, 1 query"

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Support and query ``x [tasks, way, 1, window, window]``, ``y [tasks, way]``."""
        rng = generator(seed, "tasks", "alphabets")
        drawings = torch.stack([self._pairs(rng) for _ in range(tasks)])  # [tasks, 2, way, size, size]
        x = self.distorted(drawings.flatten(0, 2).unsqueeze(1).float() / 255, rng)
        support, query = x.view(tasks, 2, self.way, *self.x_shape).unbind(1)
        y = torch.arange(self.way).expand(tasks, -1)
        return TaskBatch(Examples(support, y), Examples(query, y))

    def _pairs(self, rng: torch.Generator) -> Tensor:
        """Two drawings of each character, ``[2, way, size, size]``."""
        found: list[Tensor] = []
        left = self.way
        for alphabet in torch.randperm(len(self._alphabets), generator=rng).tolist():
            members = self._alphabets[alphabet]
            most = min(left, round(self.way * self.part))
            chosen = members[torch.randperm(len(members), generator=rng)[:most]]
            two = torch.rand(len(chosen), DRAWINGS, generator=rng).argsort(1)[:, :2]
            drawings = self._images[chosen[:, None], two].transpose(0, 1)
            quarter, mirrored = divmod(int(torch.randint(8, (), generator=rng)), 2)
            drawings = torch.rot90(drawings, quarter, (-2, -1))
            found.append(drawings.flip(-1) if mirrored else drawings)
            left -= len(chosen)
            if not left:
                break
        return torch.cat(found, 1)

    def distorted(self, x: Float[Tensor, "n 1 size size"], rng: torch.Generator) -> Float[Tensor, "n 1 window window"]:
        """Every drawing by itself."""
        n = len(x)
        angle, across, down, slant = self.strength * (2 * torch.rand(4, n, generator=rng) - 1)
        cos, sin = (angle * math.pi / 9).cos(), (angle * math.pi / 9).sin()
        turn = torch.stack([cos, -sin, sin, cos], -1).view(-1, 2, 2)
        stretch = torch.stack([(across / 4).exp(), 0.3 * slant, torch.zeros(n), (down / 4).exp()], -1).view(-1, 2, 2)
        maps = torch.cat([1.12 * turn @ stretch, torch.zeros(n, 2, 1)], -1)
        grid = F.affine_grid(maps, [*x.shape], align_corners=False)
        points = self.bend * torch.randn(n, 2, POINTS, POINTS, generator=rng)
        grid = grid + (self._basis @ points @ self._basis.T).permute(0, 2, 3, 1)
        x = _other_pen(x, torch.rand(n, generator=rng))
        ink = 0.7 + 1.1 * torch.rand(n, 1, 1, 1, generator=rng)
        x = F.grid_sample(x, grid, align_corners=False).mul_(ink).clamp_(0, 1)
        beside = self.jitter * (2 * torch.rand(4, n, generator=rng) - 1)
        return ink_frame(x, self.window, MARGIN + beside[:2], beside[2:] / 2)


def _other_pen(x: Tensor, pen: Float[Tensor, " n"]) -> Tensor:
    """Strokes of other widths: thinner below 0.35 of ``pen``, thicker above 0.5, and twice so above 0.9."""
    x = x.clone()
    thin, thick, broad = pen < 0.35, (pen > 0.5) & (pen < 0.9), pen >= 0.9
    x[thin] = x[thin].lerp(_spread(x[thin], torch.minimum), (0.35 - pen[thin]).view(-1, 1, 1, 1) * 2)
    x[thick] = x[thick].lerp(_spread(x[thick], torch.maximum), (pen[thick] - 0.5).view(-1, 1, 1, 1) * 3)
    x[broad] = _spread(_spread(x[broad], torch.maximum), torch.maximum)
    return x


def _spread(x: Tensor, by: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The extreme of every pixel and its eight neighbours."""
    for axis in (-1, -2):
        wide, inner = x.clone(), x.shape[axis] - 2
        first, middle, last = (x.narrow(axis, k, inner) for k in range(3))
        wide.narrow(axis, 1, inner).copy_(by(by(first, middle), last))
        x = wide
    return x


def _splines(size: int) -> Float[Tensor, "size points"]:
    """Cubic B-splines over evenly spaced control points."""
    at = torch.linspace(0, POINTS - 3, size).clamp(max=POINTS - 3 - 1e-4)
    u = at.frac()
    parts = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
    basis = torch.zeros(size, POINTS)
    for k, part in enumerate(parts):
        basis[torch.arange(size), at.long() + k] = part / 6
    return basis
