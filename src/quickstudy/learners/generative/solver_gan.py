"""SolverGAN: a generator writes solvers from the support set and noise, and a critic compares what they compute with
what solvers compute that gradient descent found. Several draws are an ensemble, whose disagreement is an uncertainty.

Equations, for task i with support set S, query Q and the generator G of ``quickstudy.learners.generative.hypernet``,
which takes noise z beside the embedding h of S; F(phi) are the predictions of a solver phi for the inputs of Q:

    generated         phi_d = G(S, z_d),  z_d ~ N(0, I),  d = 1 ... draws
    found             phi*  = theta - alpha * grad L(theta), ``real_steps`` times, from the learned start theta,
                      L the loss on S and Q (``real_from="all"``) or on S alone
    critic D          minimizes  mean_i  max(0, 1 - D(h, F(phi*))) + mean_d max(0, 1 + D(h, F(phi_d)))
    generator         minimizes  mean_i  L'(mean_d F(phi_d)) - adversarial * mean_d D(h, F(phi_d)) + L'(phi*)

with L' the query loss; the last term, of first order, is that of the learned start, so that "found" is good. A squared
error is that of the mean of ever more draws, |mean_d F - y|^2 - var_d F / draws: it says nothing of how they scatter.

Why S and Q: the generator sees S only, and many functions agree on S. Which of them a task has is known to the solver
that saw Q too; so given S these solvers scatter as the truth does, and to be like them the draws must scatter as well.
With ``real_from="support"`` there is one found solver for each S, and draws that are all the same are the best answer.

The ensemble's prediction is the mean over draws: of values, or of the classes' probabilities (their logarithm is given,
so that cross-entropy and softmax take it as logits). In training the noise is new at every step; in evaluation it is
the same ``draws`` points for every task, so that a result can be had again.

Where it comes from: conditional GANs with the hinge loss and spectral normalization (Miyato et al.: Spectral
Normalization for Generative Adversarial Networks. ICLR 2018), over the functions of generated networks. The combination
is ours. Tensors: t tasks, d draws, n query examples, k classes, p outputs.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.batchnorm import Mode
from quickstudy.core.draws import task_generators
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import AdaptedModel, Execution, Params, TaskModel
from quickstudy.core.learner import MetaGradient, derivative
from quickstudy.core.losses import TaskLoss
from quickstudy.core.pad import refuse
from quickstudy.core.seeding import generator
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.learners.generative._ensembles import Ensemble, Opinion, always, each_task, variety_of
from quickstudy.learners.generative._gan_health import GanHealth
from quickstudy.learners.generative._generated import Embedding, Generates, SolverGenerator
from quickstudy.learners.gradient.heads import body_features
from quickstudy.learners.gradient.inner import InnerLoop
from quickstudy.nets.generators.critic import SolverCritic, hinge
from quickstudy.rules import SGD


class SolverGAN(SupportQueryLearner):
    """Solver GAN: solvers written from the support set and noise, against those that gradients find.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, classes]``, at least as many as a task has, or values ``[n, outputs]``;
            its head (``model.head``, or its last layer) is an ``nn.Linear`` with a bias.
        generates: ``all`` parameters, or those of the ``head`` alone.
        width: of the generator's hidden layers, and of a regression's code.
        prototypes: whether the head of a classification starts at the classes' prototypes; else it starts at zero.
        noise: numbers of noise that a solver is made from, >= 1.
        draws: solvers per task in evaluation, >= 2.
        train_draws: solvers per task in training, >= 2.
        adversarial: weight of the critic's opinion in the generator's loss, >= 0.
        real_from: what the solvers see that the critic takes for real: ``all`` (support and query) or ``support``.
        real_steps: gradient steps that they take from the learned start, >= 1.
        real_lr: size of these steps, > 0.
        critic_width: of the critic's hidden layers.
        fail_after: steps in a row with draws all the same, or with a critic that is never wrong, after which training
            stops with an error (0: never).
        inner_lr: step size of gradient steps after the generation, > 0.
        inner_steps: gradient steps after the generation, of first order, in training, validation and test, >= 0.
        loss: ``cross_entropy`` for labels; for values ``mse``, or ``loss(predictions, targets) -> scalar`` of one task.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: all in training.

    Raises:
        UsageError: an option out of its range, or a model whose head is no linear layer.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        generates: Generates = "all",
        width: int = 128,
        prototypes: bool = True,
        noise: int = 16,
        draws: int = 5,
        train_draws: int = 2,
        adversarial: float = 0.1,
        real_from: Literal["all", "support"] = "all",
        real_steps: int = 5,
        real_lr: float = 0.01,
        critic_width: int = 64,
        fail_after: int = 2000,
        inner_lr: float = 0.01,
        inner_steps: int = 0,
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if min(draws, train_draws) < 2 or min(noise, real_steps, critic_width) < 1 or min(adversarial, inner_steps) < 0:
            raise UsageError(
                "SolverGAN needs draws and train_draws >= 2, noise, real_steps and critic_width >= 1, adversarial and "
                f"inner_steps >= 0, got {draws}, {train_draws}, {noise}, {real_steps}, {critic_width}, {adversarial} "
                f"and {inner_steps}."
            )
        if real_from not in ("all", "support"):
            raise UsageError(f"real_from must be all or support, got {real_from!r}.")
        self.model = model
        self.generates: Generates = generates
        self.width = width
        self.prototypes = prototypes
        self.noise = noise
        self.draws = draws
        self.train_draws = train_draws
        self.adversarial = adversarial
        self.real_from: Literal["all", "support"] = real_from
        self.real_steps = real_steps
        self.real_lr = real_lr
        self.critic_width = critic_width
        self.fail_after = fail_after
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.loss = loss
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution)
        self.inner = InnerLoop(self.net, SGD(lr=inner_lr), loss)
        self.generator = SolverGenerator(
            self.net,
            by_class=loss == "cross_entropy",
            generates=generates,
            width=width,
            prototypes=prototypes,
            noise=noise,
            who="SolverGAN",
        )
        outputs, features = self.generator.outputs, self.generator.features
        by_class = loss == "cross_entropy"
        self.critic = SolverCritic(features, features if by_class else width, 1 if by_class else outputs, critic_width)
        self.health = GanHealth(fail_after, "SolverGAN")

    def adapt(self, support: Examples) -> Ensemble:
        """All draws as one solver; its ``each(x)`` has their own predictions, ``[tasks, draws, n, ...]``."""
        (last,) = deque(self.adapt_path(support, self.inner_steps), maxlen=1)
        return last

    def adapt_path(self, support: Examples, steps: int) -> Iterator[Ensemble]:
        """The ensembles after 0, 1, ..., ``steps`` gradient steps of every one of its solvers."""
        given = self.generator.embed(support)
        return self._from(self.generator(given, self._noise(given.code)), support, steps)

    def meta_gradient(self, batch: TaskBatch) -> MetaGradient:
        """The critic's parameters get the gradient of the critic's loss, all others that of the generator's."""
        if self.training:
            self.health.check()
        support, query = batch.support, batch.query
        refuse(query.y, "SolverGAN's critic sees the answers to all queries")
        with torch.enable_grad():
            given = self.generator.embed(support)
            made = self.generator(given, self._noise(given.code))
            (ensemble,) = deque(self._from(made, support, self.inner_steps), maxlen=1)
            generated = ensemble.each(query.x)
            loss, metrics = self.query_loss(ensemble.mean(generated), query.y)
            if self.loss == "mse":  # of the mean of ever more draws: it must not pull the few draws together
                loss = loss - generated.var(1).mean() / ensemble.draws
            found = self._found(given.start, batch)(query.x)
            found_loss, found_metrics = self.query_loss(found, query.y)

            opinion = self._opinion(given, batch)
            fake, real = opinion(generated), opinion(found.detach().unsqueeze(1))
            critic_loss = hinge(real, fake)
            loss = loss - self.adversarial * fake.mean() + found_loss
            critics = list(self.critic.parameters())
            by_critic = iter(torch.autograd.grad(critic_loss, critics, retain_graph=True))
            by_generator = derivative(self, loss)
        of_critic = {id(p) for p in critics}  # the same order in both: that of parameters()
        gradients = [
            next(by_critic) if id(p) in of_critic else g for p, g in zip(self.parameters(), by_generator, strict=True)
        ]
        with torch.no_grad():
            variety = variety_of(made, given.start)
            right = torch.cat([real > 0, fake < 0], 1).to(fake.dtype).mean()
            std = ensemble.values(generated).std(1).mean()
        metrics |= {f"found_{name}": value for name, value in found_metrics.items()}
        metrics |= {
            "critic_loss": critic_loss.detach(),
            "critic_real": (real > 0).to(fake.dtype).mean(),
            "critic_fake": (fake < 0).to(fake.dtype).mean(),
            "adversarial": -fake.detach().mean(),
            "spread": std,
            "variety": variety,
        }
        counts = self.health.after(variety, right)
        return MetaGradient(gradients, metrics, {f"health.{name}": count for name, count in counts.items()})

    def _noise(self, like: Tensor) -> Tensor:
        """z for as many tasks as ``like`` has, ``[t, d, z]``."""
        if self.training:
            shape = (self.train_draws, self.noise)
            return torch.stack([torch.randn(shape, generator=rng) for rng in task_generators(len(like), "solvers")]).to(
                like
            )
        fixed = torch.randn(self.draws, self.noise, generator=generator(0, "solver-gan"))
        return fixed.to(like).expand(len(like), -1, -1)

    def _from(self, made: Params, support: Examples, steps: int) -> Iterator[Ensemble]:
        draws = self.train_draws if self.training else self.draws
        inner = replace(self.inner, begin=always(made))
        path = inner.path(each_task(support, draws), steps=steps, order=1)
        return (Ensemble(solver, draws, self.loss == "cross_entropy", support) for solver in path)

    def _found(self, start: Params, batch: TaskBatch) -> AdaptedModel:
        """The solver that gradient descent reaches from the learned start."""
        own, asked = batch.support, batch.query
        if self.real_from == "all":
            own = Examples(torch.cat([own.x, asked.x], 1), torch.cat([own.y, asked.y], 1))
        inner = replace(self.inner, rule=SGD(lr=self.real_lr), begin=always(start))
        return inner.adapt(own, steps=self.real_steps, order=1)

    def _opinion(self, given: Embedding, batch: TaskBatch) -> Opinion:
        """The critic, told what it knows of the tasks: constants, of which no gradient comes."""
        with torch.no_grad():
            statistics = self.net.statistics(given.start, batch.support.x)
            f_tnf = body_features(self.net, given.start, self.generator.head, batch.query.x, statistics)
        code_tkc = given.code.unsqueeze(1) if given.classes is None else given.classes
        return Opinion(self.critic, f_tnf, code_tkc.detach(), given.classes is not None)

    @property
    def adapt_steps(self) -> int:
        return self.inner_steps

    @property
    def tasks_at_once(self) -> int | None:
        # How much the solvers of a batch vary is seen on all of them together: in training all tasks at once.
        return self.chunk or (None if self.training else self.net.tasks_at_once)

    @property
    def task_model(self) -> TaskModel:
        return self.net
