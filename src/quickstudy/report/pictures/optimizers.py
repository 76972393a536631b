"""What a learned optimizer does: its loss curves, and its update as a function of gradient and momentum."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from quickstudy.core.picture import Picture
from quickstudy.core.unroll import unroll
from quickstudy.learners.optimizers.optimizer import OptimizerLearner
from quickstudy.report.pictures import draw
from quickstudy.report.svg import INK, NARROW, SERIES, canvas, picture, tinted
from quickstudy.rules import Adam, UpdateRule
from quickstudy.tasks.problems.problems import ProblemBatch

ADAMS = (1e-3, 1e-2, 1e-1)
GRID = 41  # gradients, and momenta, in the picture of the update
REACH = 2.0  # both from minus to plus this, in root mean squares of the tensor's gradients
PAST = 30  # steps with the same gradient, before the one that is drawn


@draw.register
def draw_optimizer(learner: OptimizerLearner, batch: ProblemBatch) -> Sequence[Picture]:
    """Loss curves beside Adam's, and the update as a function of gradient and momentum."""
    return [curves(learner.rule, batch, learner.eval_steps), update_map(learner.rule)]


def curves(rule: UpdateRule, batch: ProblemBatch, steps: int) -> Picture:
    """The relative training loss (geometric mean over the problems) of the rule and of Adam at three step sizes."""
    with canvas(NARROW, 230) as figure:
        axes = figure.add_subplot()
        for lr in ADAMS:
            axes.plot(loss_path(Adam(lr=lr), batch, steps), linewidth=1.4, label=f"Adam, {lr:g}")
        axes.plot(loss_path(rule, batch, steps), linewidth=2.2, color=INK, linestyle="-", label="learned")
        axes.set(xlabel="inner step", ylabel="loss / loss at the start", yscale="log", title=batch.family)
        figure.legend(loc="outside upper left", ncols=2)
    caption = f"Training loss on {len(batch)} test problems ({batch.family}), relative to the start; geometric mean."
    return picture(figure, name="loss-curves", caption=caption)


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
    rng = torch.Generator().manual_seed(0)
    others = torch.randn((PAST + 1, 255), generator=rng)
    start = torch.cat([torch.zeros(1), 0.1 * torch.randn(255, generator=rng)])

    def gradients(watched: Tensor, step: int) -> dict[str, Tensor]:
        return {"w": torch.cat([watched[:, None], others[step].expand(len(watched), 255)], 1).to(like)}

    def in_each_row(t: Tensor) -> Tensor:
        return t.repeat_interleave(GRID, 0) if t.ndim else t

    with torch.no_grad():
        params = {"w": start.expand(GRID, 256).to(like)}
        state = rule.init(params)
        for step in range(PAST):  # one momentum's past is the same for every gradient
            state = rule.update(params, gradients(ends, step), state)[1]
        params, state = tree_map_only(Tensor, in_each_row, (params, state))
        moved, _ = rule.update(params, gradients(ends.repeat(GRID), PAST), state)
    return (moved["w"] - params["w"])[:, 0].view(GRID, GRID).float().cpu()


def update_map(rule: UpdateRule) -> Picture:
    """``updates`` as a picture."""
    found = updates(rule)
    most = max(float(found.abs().max()), 1e-12)
    with canvas(NARROW, 280) as figure:
        axes = figure.add_subplot()
        for sign, color in ((1, SERIES[0]), (-1, SERIES[1])):
            tinted(axes, sign * found / most, color, origin="lower", extent=(-REACH, REACH, -REACH, REACH))
        axes.set(xlabel="gradient now", ylabel=f"gradient of the {PAST} steps before")
        axes.set_title(f"step: {-most:.2g} (orange) to {most:.2g} (blue)", loc="right")
    caption = (
        f"The learned step of one coordinate after {PAST} steps of one gradient and then another, in units of the root "
        f"mean square of its tensor's gradients."
    )
    return picture(figure, name="update", caption=caption)
