"""TaskGAN: a generator makes drawings of classes that nobody drew, and a critic that sees several drawings at once asks
whether they are real and of one class. A point in the space of class codes is a new class, to learn from.

Equations, for a class code u and drawing codes z_1 .. z_k, all from N(0, I), G and D of
``quickstudy.nets.generators.class_images``; A are random affine maps and quarter turns, one for each task:

    made         M = {G(u, z_1) .. G(u, z_k)}
    real         R = k drawings of a class of the task
    mixed        X = R with its last drawing replaced by one of another class of the task
    critic D     minimizes  mean  max(0, 1 - D(A R)) + [max(0, 1 + D(A M)) + mixed * max(0, 1 + D(A X))] / (1 + mixed)
                            + max(0, 1 - D'(A R_1 .. A R_c)) + max(0, 1 + D'(A M_1 .. A M_c))
                            + r1 / 2 * |dD(A R) / d(A R)|^2
    generator    minimizes  mean  -D(A M) - D'(A M_1 .. A M_c)

D' is a second head of D, which sees the sets of all classes of a task. A set M has to be of one class, for D knows by X
what sets of several look like, and to scatter as drawings of a class do; the classes of a made task have to differ as
classes do, for D'. Everything is seen through A, so that a few classes are not learned by heart. What is sampled comes
from a moving average of the generator's parameters.

``adapt`` uses the critic: the class of a query is that whose support drawings it makes the best set with. What is
scored is the generator: the energy distance (Szekely, Rizzo: Energy statistics. 2013) between sets of drawings of
the task's classes and of 20 generated classes, each set as one vector of grey levels on a coarse grid,

    2 mean |R - M| - mean |R - R'| - mean |M - M'|         R, R' of different classes, M, M' from different codes

whose mean over tasks is 0 if and only if real and generated sets are distributed alike.

Where it comes from: the hinge loss (Miyato et al.: Spectral Normalization for Generative Adversarial Networks. ICLR
2018), R1 (Mescheder, Geiger, Nowozin: Which Training Methods for GANs do actually Converge? ICML 2018), the same maps
on both sides (Zhao et al.: Differentiable Augmentation for Data-Efficient GAN Training. NeurIPS 2020). The combination
is ours. Tensors: t tasks, c classes, k drawings of a set, s sets, n images.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.draws import task_generators
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaGradient, Scalars, Solver
from quickstudy.core.losses import task_losses
from quickstudy.core.seeding import generator
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.core.taken import Found
from quickstudy.learners.generative._average import MovingAverage
from quickstudy.learners.generative._drawn_sets import by_class, energy_distance, turned, varieties
from quickstudy.learners.generative._gan_health import GanHealth
from quickstudy.learners.generative._set_scores import embed, set_scores, slope_penalty
from quickstudy.nets.generators.class_images import ImageGenerator, SetCritic
from quickstudy.nets.generators.strokes import StrokeGenerator
from quickstudy.tasks.images.affine import random_maps, warp

SCORED = 20  # made classes that a task's are compared with


class TaskGAN(SupportQueryLearner):
    """Task GAN: makes drawings of classes nobody drew, against a critic that sees several at once.

    Args:
        x_shape: of an example, ``(channels, size, size)``, values in [0, 1].
        generator_type: ``strokes`` (a pen's, in one colour) or ``pixels`` (convolutional, images of any kind).
        drawings: of a class that the critic sees at once, >= 2; of fewer in a task, as many as there are.
        class_code: numbers in a class's code, >= 1.
        drawing_code: numbers in a drawing's code, >= 1.
        width: of the generator of ``pixels``: channels before its last layer.
        critic_width: of the critic: channels of its first layer.
        mixed: weight of the sets with a drawing of another class, >= 0.
        r1: weight of the squared gradient of the critic by real drawings, >= 0.
        augment: strength of the random affine maps and quarter turns that the critic sees everything through (0: none).
        ema: decay of the generator's moving average, in [0, 1).
        fail_after: steps in a row with images all the same, or with a critic that is never wrong, after which training
            stops with an error (0: never).

    Raises:
        UsageError: an option out of its range, or examples that are no square images.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "cross_entropy"}
    any_way: ClassVar[bool] = True

    def __init__(
        self,
        *,
        x_shape: tuple[int, ...] = (1, 28, 28),
        generator_type: Literal["strokes", "pixels"] = "strokes",
        drawings: int = 4,
        class_code: int = 64,
        drawing_code: int = 32,
        width: int = 48,
        critic_width: int = 24,
        mixed: float = 1.0,
        r1: float = 0.3,
        augment: float = 1.0,
        ema: float = 0.99,
        fail_after: int = 500,
    ) -> None:
        super().__init__()
        if drawings < 2 or min(class_code, drawing_code, width, critic_width) < 1 or min(mixed, r1, augment) < 0:
            raise UsageError(
                "TaskGAN needs drawings >= 2, class_code, drawing_code, width and critic_width >= 1, mixed, r1 and "
                f"augment >= 0, got {drawings}, {class_code}, {drawing_code}, {width}, {critic_width}, {mixed}, {r1} "
                f"and {augment}."
            )
        if not 0 <= ema < 1:
            raise UsageError(f"ema must be in [0, 1), got {ema}.")
        if generator_type not in ("strokes", "pixels"):
            raise UsageError(f"generator_type must be strokes or pixels, got {generator_type!r}.")
        self.x_shape = tuple(x_shape)
        self.generator_type: Literal["strokes", "pixels"] = generator_type
        self.drawings = drawings
        self.class_code = class_code
        self.drawing_code = drawing_code
        self.width = width
        self.critic_width = critic_width
        self.mixed = mixed
        self.r1 = r1
        self.augment = augment
        self.ema = ema
        self.fail_after = fail_after
        codes = (self.x_shape, class_code, drawing_code)
        self.generator = StrokeGenerator(*codes) if generator_type == "strokes" else ImageGenerator(*codes, width=width)
        self.critic = SetCritic(self.x_shape, critic_width)
        self.average = MovingAverage(self.generator, ema)
        helps = "A smaller outer step size helps, or a larger r1"
        self.health = GanHealth(
            fail_after, "TaskGAN", made="set", if_collapsed=helps, if_beaten=f"{helps}, or a smaller critic"
        )

    def images(self, classes: Float[Tensor, "*n u"], drawings: Float[Tensor, "*n k z"]) -> Float[Tensor, "*n k c h w"]:
        """Drawings of classes by their codes, from the averaged generator."""
        return self._drawn(classes, drawings, averaged=True)

    def adapt(self, support: Examples) -> Solver:
        """For each class, the critic's score of the class's support drawings and the query as one set."""
        known_tckf = embed(self.critic, by_class(support))

        def solve(x: Tensor) -> Tensor:
            asked_tnf = embed(self.critic, x)
            sizes = (len(x), x.shape[1], *known_tckf.shape[1:])
            known = known_tckf.unsqueeze(1).expand(sizes)
            asked = asked_tnf[:, :, None, None].expand(*sizes[:3], 1, -1)
            return self.critic.of_set(torch.cat([known, asked], 3))

        return Found(solve, self.adapt, support)

    def meta_loss(self, batch: TaskBatch) -> tuple[Tensor, Scalars]:
        """The critic's loss, without the penalty."""
        real = self.sets(batch)
        loss = set_scores(self.critic, self._seen(real, "real"), self._seen(self._made(real), "made")).loss(self.mixed)
        return loss, {"loss": loss.detach()}

    def meta_gradient(self, batch: TaskBatch) -> MetaGradient:
        """The critic's parameters get the gradient of the critic's loss, the generator's that of its own."""
        if self.training:
            self.health.check()
        with torch.enable_grad():
            real = self.sets(batch)
            made = self._made(real)
            seen = self._seen(real, "real")
            of = set_scores(self.critic, seen, self._seen(made, "made"))
            loss = of.loss(self.mixed)
            penalty = slope_penalty(self.critic, seen)
            critics, generators = list(self.critic.parameters()), list(self.generator.parameters())
            by_critic = torch.autograd.grad(loss + self.r1 / 2 * penalty, critics, retain_graph=True)
            by_generator = torch.autograd.grad(-of.made.mean() - of.made_task.mean(), generators)
        found = {id(p): g for p, g in zip((*critics, *generators), (*by_critic, *by_generator), strict=True)}
        of_classes, of_drawings = varieties(made.detach())
        metrics = {
            "loss": loss.detach(),
            **of.metrics(),
            "penalty": penalty.detach(),
            "class_variety": of_classes,
            "drawing_variety": of_drawings,
        }
        counts = self.health.after(torch.minimum(of_classes, of_drawings), of.right())
        buffers = {f"health.{name}": count for name, count in counts.items()}
        buffers |= {f"average.{name}": value for name, value in self.average.after(self.generator).items()}
        return MetaGradient([found[id(p)] for p in self.parameters()], metrics, buffers)

    def score_tasks(self, batch: TaskBatch, at: Sequence[int]) -> Tensor:
        """The energy distance, and the loss of what ``adapt`` gives."""
        del at  # there is only one
        real = self.sets(batch)[:, :, 0]
        # The same for every task, so that a task's score is its own, however many are scored at once.
        codes = self._codes((1, SCORED, real.shape[2]), generator(0, "task-gan", "score"), real)
        made = self.images(*codes).expand(len(real), -1, -1, -1, -1, -1)
        losses = task_losses(self.loss, self.adapt(batch.support)(batch.query.x), batch.query.y)
        return torch.stack([energy_distance(turned(real), turned(made)), losses]).unsqueeze(1)

    def score_name(self, batch: TaskBatch) -> str:
        return "energy_distance"

    def sets(self, batch: TaskBatch) -> Float[Tensor, "t c s k ch h w"]:
        """The drawings of every class of a task, support and query together, in sets."""
        x, y = (torch.cat([getattr(batch.support, a), getattr(batch.query, a)], 1) for a in "xy")
        x_tcn = by_class(Examples(x, y))
        if x_tcn.shape[1] < 2 or x_tcn.shape[2] < 2:
            raise UsageError(
                f"TaskGAN needs tasks of at least two classes with two drawings each (support and query together), got "
                f"{x_tcn.shape[1]} with {x_tcn.shape[2]}."
            )
        k = min(self.drawings, x_tcn.shape[2])
        s = x_tcn.shape[2] // k
        return x_tcn[:, :, : s * k].unflatten(2, (s, k))

    def _made(self, like: Float[Tensor, "t c s k ch h w"]) -> Float[Tensor, "t c s k ch h w"]:
        """As many generated sets; in training the codes are new at every step, else the same for every task."""
        shape = like.shape[:4]
        if self.training:
            each = [self._codes((1, *shape[1:]), rng, like) for rng in task_generators(shape[0], "codes")]
            codes = tuple(torch.cat(parts) for parts in zip(*each, strict=True))
        else:
            fixed = self._codes((1, *shape[1:]), generator(0, "task-gan"), like)
            codes = tuple(code.expand(shape[0], *code.shape[1:]) for code in fixed)
        return self._drawn(*codes, averaged=False)

    def _drawn(self, classes: Tensor, drawings: Tensor, *, averaged: bool) -> Tensor:
        flat = classes.flatten(0, -2), drawings.flatten(0, -3)
        images = self.average.call(self.generator, *flat) if averaged else self.generator(*flat)
        return images.unflatten(0, classes.shape[:-1])

    def _codes(self, shape: Sequence[int], rng: torch.Generator, like: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of classes ``[*n, u]`` and of their drawings ``[*n, k, z]``, for ``shape = (*n, k)``."""
        classes = torch.randn(*shape[:-1], self.class_code, generator=rng)
        drawings = torch.randn(*shape, self.drawing_code, generator=rng)
        return classes.to(like), drawings.to(like)

    def _seen(self, sets: Float[Tensor, "t c s k ch h w"], what: str) -> Float[Tensor, "t c s k ch h w"]:
        """Through A, the same for all drawings of a task, so that a mixed set is not told by the maps; in training."""
        if not (self.training and self.augment):
            return sets
        drawn = [
            random_maps(1, strength=self.augment, quarters=True, rng=rng) for rng in task_generators(len(sets), what)
        ]
        each = torch.cat(drawn).repeat_interleave(sets[0, ..., 0, 0, 0].numel(), 0)
        return warp(sets.flatten(0, 3), each).unflatten(0, sets.shape[:4])
