"""MetaGAN: a generator makes examples that could be a task's; the learner must know them from the real ones, too, and
so has to draw its boundaries close around the classes. What adapts is a network as in MAML, or a relation network.

Equations (Zhang et al. 2018), for a task with support S and query Q of N classes, the generator G of
``quickstudy.nets.generators.fakes`` and an (N + 1)-way learner D, whose last class is "fake":

    L_D(D; X, F) = - mean_{(x, y) in X} log p_D(y | x, real)                                 what it was for
                   - a (mean_{x in X} log p_D(real | x) + mean_{x in F} log p_D(fake | x))   real or fake
    base="maml"        D_S = D - alpha * grad L_D(D; S, F_S),  F_S = G(S, z),  ``inner_steps`` times
    base="relation"    D_S: exp(r_k) / (1 + sum_j exp(r_j)) for class k, 1 / (1 + sum_j exp(r_j)) for "fake",
                       with r_k what the relation module gives before its sigmoid
    learner            minimizes  L_D(D_S; Q, F_Q),  F_Q = G(S, z')
    generator          minimizes  - mean_{x in F_Q} log p_{D_S}(real | x)

Each is moved by its own loss alone, both in the same outer step; to the generator D_S is a constant, to the learner the
fakes are. The solver gives the N logits without that of "fake": their softmax is p(k | x, real). In evaluation the
noise is the same points for every task (the fakes of the support set are adapted to in the test as well).

Where it differs from the paper: the labelled examples of a task stand for unlabelled ones, which our tasks do not have;
how S is encoded and the sizes of G are ours, and so is the fake class's logit of a relation network, 0 (as Salimans et
al. 2016 set it); one optimizer and step size serve both; BatchNorm's mode is an option, with the fakes normalised apart
from real examples, as queries are. The paper's text was not at hand: the losses are as others describe them.

Reference: Zhang, Che, Ghahramani, Bengio, Song: MetaGAN: An Adversarial Approach to Few-Shot Learning. NeurIPS 2018.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.batchnorm import Mode
from quickstudy.core.draws import task_generators
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.core.learner import MetaGradient, Solver
from quickstudy.core.model_checks import floating_dtype
from quickstudy.core.pad import refuse
from quickstudy.core.seeding import generator
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.learners.generative._discriminators import (
    AdaptedDiscriminator,
    Classes,
    RelationDiscriminator,
    discriminator_losses,
    log_odds,
)
from quickstudy.learners.generative._ensembles import variety_of
from quickstudy.learners.generative._gan_health import GanHealth
from quickstudy.learners.metric.relation import RelationNet
from quickstudy.nets.generators.fakes import FakeGenerator


class MetaGAN(SupportQueryLearner):
    """MetaGAN: MAML or a relation network that must also know real examples from generated ones.

    Args:
        model: a net without a head whose ``feature_shape`` is ``(f,)`` or ``(c, h, w)``; what it is for stands on top.
        out_features: classes of a task.
        x_shape: of one example; ``(channels, height, width)`` are images with pixels in [0, 1].
        base: what the learner is: ``maml`` (adapts by gradient steps) or ``relation`` (compares).
        inner_lr: size of the inner gradient steps, > 0 (``maml``).
        inner_steps: gradient steps per task in training, validation and test, >= 0 (``maml``).
        order: 2 differentiates through the inner gradients, 1 takes them as constants (``maml``).
        relation_filters: channels of the relation module (``relation``).
        relation_hidden: width of its last hidden layer (``relation``).
        adversarial: weight of real or fake in the learner's loss, >= 0.
        fakes: per task, for adapting and again for the loss, >= 2.
        noise: numbers of noise that a fake is made from, >= 1.
        width: numbers in the summary of a task.
        generator_filters: channels of the generator's convolutions.
        fail_after: steps in a row with fakes all the same, or with a learner that is never deceived, after which
            training stops with an error (0: never).
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: all in training.

    Raises:
        UsageError: an option out of its range, or a model without a ``feature_shape``.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "cross_entropy"}
    embeds: ClassVar[bool] = True

    def __init__(
        self,
        model: nn.Module,
        *,
        out_features: int = 5,
        x_shape: tuple[int, ...] = (1, 28, 28),
        base: Literal["maml", "relation"] = "maml",
        inner_lr: float = 0.01,
        inner_steps: int = 1,
        order: int = 2,
        relation_filters: int = 64,
        relation_hidden: int = 8,
        adversarial: float = 1.0,
        fakes: int = 5,
        noise: int = 32,
        width: int = 64,
        generator_filters: int = 16,
        fail_after: int = 2000,
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if base not in ("maml", "relation") or order not in (1, 2):
            raise UsageError(f"MetaGAN needs base maml or relation and order 1 or 2, got {base!r} and {order}.")
        if out_features < 1 or fakes < 2 or min(adversarial, inner_steps) < 0:
            raise UsageError(
                "MetaGAN needs out_features >= 1, fakes >= 2, adversarial and inner_steps >= 0, got "
                f"{out_features}, {fakes}, {adversarial} and {inner_steps}."
            )
        self.out_features = out_features
        self.x_shape = tuple(x_shape)
        self.base: Literal["maml", "relation"] = base
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.order = order
        self.relation_filters = relation_filters
        self.relation_hidden = relation_hidden
        self.adversarial = adversarial
        self.fakes = fakes
        self.noise = noise
        self.width = width
        self.generator_filters = generator_filters
        self.fail_after = fail_after
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        if base == "maml":
            self.discriminator = AdaptedDiscriminator(
                model,
                out_features=out_features,
                inner_lr=inner_lr,
                order=order,
                adversarial=adversarial,
                bn=bn,
                execution=execution,
            )
        else:
            relation = RelationNet(
                model, relation_filters=relation_filters, relation_hidden=relation_hidden, bn=bn, execution=execution
            )
            self.discriminator = RelationDiscriminator(relation)
        self.generator = FakeGenerator(self.x_shape, noise=noise, width=width, filters=generator_filters)
        self.health = GanHealth(
            fail_after,
            "MetaGAN",
            made="example",
            if_collapsed="More dimensions of noise help, or a smaller step size",
            if_beaten="A smaller adversarial weight helps, or a larger generator (width, generator_filters)",
        )

    @property
    def model(self) -> nn.Module:
        """The net that gives features, as it was passed in."""
        return self.discriminator.model

    def adapt(self, support: Examples) -> Classes:
        """The solver of the N classes; its ``solver`` has the logit of "fake" behind theirs."""
        (last,) = deque(self.adapt_path(support, self.adapt_steps), maxlen=1)
        return last

    def adapt_path(self, support: Examples, steps: int) -> Iterator[Classes]:
        """The solvers after 0, 1, ..., ``steps`` gradient steps (a relation network takes none: all the same)."""
        made = self.make_fakes(support)[:, : self.fakes].detach()
        return (Classes(solver) for solver in self.discriminator.path(support, made, steps))

    def make_fakes(self, support: Examples) -> Float[Tensor, "tasks fakes ..."]:
        """Examples that could be of each task, ``2 * fakes`` of them; in evaluation always of the same noise."""
        refuse(support.y, "MetaGAN's generator sees all support examples")
        like = support.x.to(floating_dtype(self.generator) or support.x.dtype)
        shape = (2 * self.fakes, self.noise)
        if self.training:
            z = torch.stack([torch.randn(shape, generator=rng) for rng in task_generators(len(like), "fakes")]).to(like)
        else:
            z = torch.randn(shape, generator=generator(0, "metagan")).to(like).expand(len(like), -1, -1)
        return self.generator(like, z)

    def meta_gradient(self, batch: TaskBatch) -> MetaGradient:
        """The generator's parameters get the gradient of the generator's loss, all others that of the learner's."""
        if self.training:
            self.health.check()
        support, query = batch.support, batch.query
        refuse(query.y, "MetaGAN tells all queries from fakes")
        with torch.enable_grad():
            made = self.make_fakes(support)
            to_adapt, to_judge = made.split(self.fakes, 1)
            solver: Solver
            (solver,) = deque(self.discriminator.path(support, to_adapt.detach(), self.adapt_steps), maxlen=1)
            real, fake = solver(query.x), solver(to_judge)
            learner_loss = discriminator_losses(real, query.y, fake, self.adversarial).mean()
            generator_loss = -F.logsigmoid(log_odds(fake)).mean()
            found = _gradients(learner_loss, self.discriminator) | _gradients(generator_loss, self.generator)
        with torch.no_grad():
            _, metrics = self.query_loss(real[..., :-1], query.y)
            knows_real, knows_fake = (log_odds(real) > 0).to(made.dtype), (log_odds(fake) < 0).to(made.dtype)
            variety = variety_of({"x": made.flatten(0, 1)}, {"x": torch.zeros_like(made[:, 0])})
            counts = self.health.after(variety, torch.cat([knows_real, knows_fake], 1).mean())
        metrics |= {
            "learner_loss": learner_loss.detach(),
            "generator_loss": generator_loss.detach(),
            "knows_real": knows_real.mean(),
            "knows_fake": knows_fake.mean(),
            "variety": variety,
        }
        buffers = {f"health.{name}": count for name, count in counts.items()}
        return MetaGradient([found.get(p) for p in self.parameters()], metrics, buffers)

    @property
    def adapt_steps(self) -> int:
        return self.inner_steps if self.base == "maml" else 0

    @property
    def tasks_at_once(self) -> int | None:
        # How much the fakes of a batch vary is seen on all of them together: in training all tasks at once.
        return self.chunk or (None if self.training else self.task_model.tasks_at_once)

    @property
    def task_model(self) -> TaskModel:
        return self.discriminator.net


def _gradients(loss: Tensor, module: nn.Module) -> dict[nn.Parameter, Tensor | None]:
    """The derivative of a loss by the parameters of one part alone (of a frozen part: none)."""
    params = [p for p in module.parameters() if p.requires_grad]
    grads = torch.autograd.grad(loss, params, retain_graph=True, allow_unused=True) if params else ()
    return dict(zip(params, grads, strict=True))
