"""What a learned optimizer's report shows: its loss curves, and its update as a function of gradient and momentum."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from quickstudy.core.picture import Picture, from_figure
from quickstudy.core.unroll import unroll
from quickstudy.rules import Adam, UpdateRule
from quickstudy.tasks.problems.problems import ProblemBatch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ADAMS = (1e-3, 1e-2, 1e-1)
GRID = 41  # gradients, and momenta, in the picture of the update
REACH = 2.0  # both from minus to plus this, in root mean squares of the tensor's gradients
PAST = 30  # steps with the same gradient, before the one that is drawn


def curves(rule: UpdateRule, batch: ProblemBatch, steps: int) -> Picture:
    """The relative training loss (geometric mean over the problems) of the rule and of Adam at three step sizes."""
    figure = _figure(6.4, 3.6)
    axes = figure.add_subplot()
    for lr in ADAMS:
        axes.plot(loss_path(Adam(lr=lr), batch, steps), linewidth=1, linestyle="--", label=f"Adam, {lr:g}")
    axes.plot(loss_path(rule, batch, steps), linewidth=2, color="black", label="learned")
    axes.set(xlabel="inner step", ylabel="loss / loss at the start", yscale="log", title=batch.family)
    axes.legend(frameon=False)
    caption = f"Training loss on {len(batch)} test problems ({batch.family}), relative to the start; geometric mean."
    return from_figure(figure, name="loss-curves", caption=caption)


def loss_path(rule: UpdateRule, batch: ProblemBatch, steps: int) -> list[float]:
    """The geometric mean over problems of the minibatch loss relative to the start's, before each step."""
    level = batch.train_loss(batch.start)
    found: list[float] = []
    with torch.no_grad():
        for step, params in enumerate(unroll(batch.loss, batch.start, rule, steps=steps, order=1)):
            ratio = (batch.loss(params, step) / level).nan_to_num(1e3).clamp(1e-6, 1e3)
            found.append(float(ratio.log().mean().exp()))
    return found


def updates(rule: UpdateRule) -> Tensor:
    """The step of a coordinate ``[momentum, gradient]``, both from -2 to 2 root mean squares of its tensor's gradients.

    The coordinate is one of 256; the others have gradients at random. It has had the same gradient (the momentum) for
    30 steps before the one (the gradient) whose step is given.
    """
    like = next(rule.parameters())
    ends = torch.linspace(-REACH, REACH, GRID)
    momentum, gradient = (g.flatten() for g in torch.meshgrid(ends, ends, indexing="ij"))
    rng = torch.Generator().manual_seed(0)
    others = torch.randn((PAST + 1, 255), generator=rng)
    start = torch.cat([torch.zeros(1), 0.1 * torch.randn(255, generator=rng)]).expand(GRID * GRID, 256)
    params = {"w": start.to(like)}
    with torch.no_grad():
        moved, state = params, rule.init(params)
        for step in range(PAST + 1):
            watched = gradient if step == PAST else momentum
            g = torch.cat([watched[:, None], others[step].expand(GRID * GRID, 255)], 1).to(like)
            moved, state = rule.update(params, {"w": g}, state)
    return (moved["w"] - params["w"])[:, 0].view(GRID, GRID).float().cpu()


def update_map(rule: UpdateRule) -> Picture:
    """``updates`` as a picture."""
    found = updates(rule)
    figure = _figure(4.8, 4.0)
    axes = figure.add_subplot()
    most = max(float(found.abs().max()), 1e-12)
    extent = (-REACH, REACH, -REACH, REACH)
    shown = axes.imshow(found.numpy(), origin="lower", extent=extent, cmap="RdBu", vmin=-most, vmax=most)
    axes.set(xlabel="gradient now", ylabel=f"gradient of the {PAST} steps before")
    figure.colorbar(shown, label="step of the parameter")
    caption = (
        f"The learned step of one coordinate after {PAST} steps of one gradient and then another, in units of the root "
        f"mean square of its tensor's gradients."
    )
    return from_figure(figure, name="update", caption=caption)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
