"""What is compared, and what it costs at least: the workloads of ``peers.py``, their data, nets and multiply-adds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import quickstudy as qs


@dataclass(frozen=True)
class Workload:
    """One meta-gradient of one learner on one batch, or one test on it.

    Args:
        family: which learner.
        net_kind: Conv4 on images, or the MLP 1-40-40-1 on sinusoids.
        tasks: tasks per batch.
        shot: support examples per class (points per task for sinusoids).
        query: query examples per class (points per task for sinusoids).
        steps: inner steps.
        order: of MAML.
        inner_lr: of MAML's and Reptile's inner steps.
        way: classes per task.
        filters: of Conv4.
        size: of the images, in pixels.
        channels: of the images.
        test: adapt to the tasks and score them on their queries; no meta-gradient.
    """

    family: Literal["maml", "reptile", "prototypical"]
    net_kind: Literal["conv", "mlp"] = "conv"
    tasks: int = 32
    shot: int = 1
    query: int = 5
    steps: int = 1
    order: int = 2
    inner_lr: float = 0.4
    way: int = 5
    filters: int = 64
    size: int = 28
    channels: int = 1
    test: bool = False

    def __str__(self) -> str:
        if self.family == "prototypical":
            what = "prototypical network"
        else:
            steps = f"{self.steps} inner step{'s' * (self.steps > 1)}"
            what = f"MAML, order {self.order}, {steps}" if self.family == "maml" else f"Reptile, {steps} of Adam"
        what = f"testing {what}" if self.test else what
        if self.net_kind == "mlp":
            return f"{what}; {self.tasks} sinusoids of {self.shot}+{self.query} points, MLP 1-40-40-1"
        size = f"{self.size}x{self.size}" + (f"x{self.channels}" if self.channels > 1 else "")
        images = f"{self.way}-way {self.shot}-shot, {self.query} queries per class, {size}"
        return f"{what}; {self.tasks} tasks {images}, Conv4 of {self.filters} filters"

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        return F.cross_entropy if self.net_kind == "conv" else F.mse_loss

    def net(self, dtype: torch.dtype = torch.float32) -> nn.Sequential:
        """Plain torch modules, as a user of any library would write them."""
        torch.manual_seed(0)
        if self.net_kind == "mlp":
            layers = [nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)]
            return nn.Sequential(*layers).to(dtype)
        layers: list[nn.Module] = []
        for channels in (self.channels, self.filters, self.filters, self.filters):
            convolution = nn.Conv2d(channels, self.filters, 3, padding=1)
            layers += [convolution, nn.BatchNorm2d(self.filters), nn.ReLU(), nn.MaxPool2d(2)]
        layers.append(nn.Flatten())
        if self.family != "prototypical":
            layers.append(nn.Linear(self.filters * (self.size // 16) ** 2, self.way))
        return nn.Sequential(*layers).to(dtype)

    def quickstudy_net(self, like: nn.Module) -> nn.Module:
        """The same net from ``quickstudy.nets``, with the same weights."""
        outputs = None if self.family == "prototypical" else self.way
        own = qs.nets.MLP() if self.net_kind == "mlp" else self._conv4(outputs)
        own = own.to(next(like.parameters()))
        with torch.no_grad():
            for to, of in zip(own.parameters(), like.parameters(), strict=True):
                assert to.shape == of.shape, "quickstudy's net has its parameters in another order"
                to.copy_(of)
        return own

    def _conv4(self, outputs: int | None) -> nn.Module:
        return qs.nets.Conv4(out_features=outputs, in_channels=self.channels, filters=self.filters, size=self.size)

    def batch(self, dtype: torch.dtype = torch.float32) -> qs.TaskBatch:
        if self.net_kind == "mlp":
            batch = qs.tasks.Sinusoids(shot=self.shot, query=self.query).sample(self.tasks, seed=0)
        else:
            tasks = qs.tasks.Glyphs(way=self.way, shot=self.shot, query=self.query, size=self.size)
            batch = tasks.sample(self.tasks, seed=0)
        return qs.TaskBatch(self._cast(batch.support, dtype), self._cast(batch.query, dtype))

    def _cast(self, examples: qs.Examples, dtype: torch.dtype) -> qs.Examples:
        y = examples.y.to(dtype) if examples.y.is_floating_point() else examples.y
        x = examples.x.to(dtype)
        if self.channels > 1:  # drawings in shades of their own in each channel
            x = x * torch.linspace(0.5, 1, self.channels, dtype=dtype)[:, None, None]
        return qs.Examples(x, y)


W1 = Workload("maml")
SINUSOIDS = Workload("maml", net_kind="mlp", tasks=25, shot=10, query=10, inner_lr=0.01)
MINI = Workload("maml", tasks=4, shot=5, query=15, steps=5, inner_lr=0.01, size=84, channels=3)  # as miniImageNet's
WORKLOADS: dict[str, Workload] = {
    "W1": W1,
    "W2": Workload("maml", steps=5),
    "W2-order1": Workload("maml", steps=5, order=1),
    "W3": SINUSOIDS,
    "W3-5steps": Workload("maml", net_kind="mlp", tasks=25, shot=10, query=10, inner_lr=0.01, steps=5),
    "W4": Workload("reptile", tasks=5, query=1, steps=5, inner_lr=1e-3),
    "W5": Workload("prototypical", tasks=8, way=20),
    "W6": MINI,
    "W6-order1": replace(MINI, order=1),
    "W7": Workload("maml", tasks=1000, query=15, steps=3, test=True),
}


def forward_macs(net: nn.Module, x: Tensor) -> tuple[int, int]:
    """Multiply-adds of the convolutions and linear layers in one forward of ``x``: of all, and of the first alone."""
    counts: list[int] = []

    def count(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Each output is a sum over the inputs that one filter (or one row) sees.
        counts.append(output.numel() * next(layer.parameters())[0].numel())

    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return sum(counts), counts[0]


def meta_gradient_macs(work: Workload) -> int:
    """Multiply-adds that one meta-gradient needs if every product is done by its definition.

    Count a layer's forward y = W x as one unit F (F1: the first layer's), summed over layers and examples.

    - forward: F;
    - backward: dW = dy x' and dx = W' dy, one unit each, but no dx for the first layer: 2 F - F1;
    - backward through that backward (second order). Let v be the cotangent of dW and u that of dx. dW = dy x' sends
      v x to dy and v' dy to x; dx = W' dy sends W u to dy and dy u' to W; then what has come to y sends dy x' to W and
      W' dy to x: six units. The first layer has no dx and needs no cotangent of x, which leaves two: 6 F - 4 F1.
      (Forward over backward, Pearlmutter's product, has the same count.)

    So for each task, with support S, query Q and k steps:

        MAML, order 2:   k (9 S - 5 S1) + 3 Q - Q1
        MAML, order 1:   k (3 S - S1) + 3 Q - Q1
        Reptile:         k (3 (S + Q) - (S1 + Q1))
        prototypical:    3 (S + Q) - (S1 + Q1)
        testing MAML:    k (3 S - S1) + Q

    torch's own count of a plain loop is the same, except that its second order spends two units on the first layer that
    nothing asks for (``tests/test_benchmarks.py``).

    BatchNorm, ReLU, pooling, the losses and the rules are left out (memory-bound, less than a hundredth of the
    multiply-adds), and so are algorithms that save products (Winograd's), which may undercut this.
    """
    net, batch = work.net(), work.batch()
    (s, s1), (q, q1) = (forward_macs(net, x[0]) for x in (batch.support.x, batch.query.x))
    if work.test:
        return work.tasks * (work.steps * (3 * s - s1) + q)
    if work.family == "maml":
        inner = 9 * s - 5 * s1 if work.order == 2 else 3 * s - s1
        return work.tasks * (work.steps * inner + 3 * q - q1)
    passes = work.steps if work.family == "reptile" else 1
    return work.tasks * passes * (3 * (s + q) - (s1 + q1))
