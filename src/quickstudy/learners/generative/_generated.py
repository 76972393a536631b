"""What learners that generate a solver share: the embedding of the support set, and the parameters made from it.

Axes: t tasks, n examples, k classes, f features, d draws, c numbers in a code, z numbers of noise.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.batch import Examples
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params, TaskModel, trainable
from quickstudy.core.pad import refuse
from quickstudy.learners.gradient.heads import ABSENT, body_features, linear_head, means_by_class, prototype_head
from quickstudy.learners.in_context.set_encoder import layers
from quickstudy.nets.generators.generator import FromZero, ParameterGenerator

Generates: TypeAlias = Literal["all", "head"]


@dataclass(frozen=True)
class Embedding:
    """A support set, as the generator sees it.

    Args:
        code: h of the task, ``[t, c]``.
        classes: r_k of each class, ``[t, k, f]`` (None: a regression).
        start: where the changes are added: the learned start, the head as it is for this task before any change.
    """

    code: Tensor
    classes: Tensor | None
    start: Params


class SolverGenerator(nn.Module):
    """From a support set, and noise if there is any, to all parameters of a solver.

    Args:
        net: the network whose parameters are made; it belongs to the learner, and is not registered here.
        by_class: whether y are labels (else they are values).
        generates: ``all`` parameters or those of the ``head``.
        width: of hidden layers, and of a regression's code.
        prototypes: whether the head of a classification begins at the classes' prototypes, or at zero.
        noise: numbers of noise.
        who: whose it is, for messages.
    """

    def __init__(
        self,
        net: TaskModel,
        *,
        by_class: bool,
        generates: Generates,
        width: int,
        prototypes: bool,
        noise: int = 0,
        who: str,
    ) -> None:
        super().__init__()
        if generates not in ("all", "head") or width < 1:
            raise UsageError(f"{who} needs generates all or head and width >= 1, got {generates!r} and {width}.")
        self.net = net
        self.head = linear_head(net, f"{who} generates the head from features")
        self.prototypes = prototypes
        self.noise = noise
        self.who = who
        tensors = trainable(net.model)
        self.outputs, self.features = tensors[self.head[0]].shape
        features = self.features
        body = {name: p.shape for name, p in tensors.items() if name not in self.head} if generates == "all" else {}
        shapes = body if by_class else {**body, **{name: tensors[name].shape for name in self.head}}
        self.encoder = None if by_class else layers((features + self.outputs, width, width, width))
        code = (features if by_class else width) + noise
        self.body = ParameterGenerator(shapes, code, width=width) if shapes else None
        sizes = (2 * features + noise, width, width)
        self.rows = nn.Sequential(layers(sizes), nn.ReLU(), FromZero(width, features + 1)) if by_class else None

    def embed(self, support: Examples) -> Embedding:
        """The code of each task, and its start.

        Raises:
            UsageError: labels where there should be values, or the other way round.
        """
        start = self.net.start(len(support))
        f_tnf = body_features(self.net, start, self.head, support.x)
        y = support.y
        if self.encoder is not None:
            if not y.is_floating_point() or y.shape[2:] != (self.outputs,):
                raise UsageError(
                    f"this {self.who} does regression: y must be values [tasks, n, {self.outputs}], got {y.dtype} "
                    f"{[*y.shape]}; build it with loss='cross_entropy' for classes."
                )
            refuse(y, f"{self.who}'s code is the mean over all support examples")
            return Embedding(self.encoder(torch.cat([f_tnf, y], -1)).mean(1), None, start)
        r_tkf, count_tk = means_by_class(f_tnf, y, self.outputs, self.who)
        there_tk = (count_tk > 0).to(r_tkf.dtype)
        h_tf = r_tkf.sum(1) / there_tk.sum(1, keepdim=True)
        if self.prototypes:
            w_tkf, b_tk = prototype_head(r_tkf, count_tk)
        else:
            w_tkf, b_tk = torch.zeros_like(r_tkf), torch.where(count_tk > 0, torch.zeros_like(count_tk), ABSENT)
        weight, bias = self.head
        return Embedding(h_tf, r_tkf, {**start, weight: w_tkf, bias: b_tk})

    def forward(self, given: Embedding, z_tdz: Float[Tensor, "t d z"] | None = None) -> Params:
        """All parameters ``{name: [t * d, ...]}`` (without noise: d = 1), a task's draws one after the other."""
        draws = 1 if z_tdz is None else z_tdz.shape[1]
        code = given.code.repeat_interleave(draws, 0)
        # All of it as loud as all of the code, or it would not be heard beside it.
        loud = (code.detach().square().sum(-1, keepdim=True) / max(1, self.noise)).sqrt()
        noise = code[:, :0] if z_tdz is None else loud * z_tdz.flatten(0, 1)
        made = {name: p.repeat_interleave(draws, 0) for name, p in given.start.items()} if draws > 1 else given.start
        changes = {} if self.body is None else self.body(torch.cat([code, noise], -1))
        if self.rows is not None:
            assert given.classes is not None, "the embedding is of this generator's own kind"
            r_tkf = given.classes.repeat_interleave(draws, 0)
            shared = torch.cat([code, noise], -1).unsqueeze(1).expand(-1, r_tkf.shape[1], -1)
            rows = self.rows(torch.cat([r_tkf, shared], -1))
            changes |= {self.head[0]: rows[..., :-1], self.head[1]: rows[..., -1]}
        return {name: p + changes[name] if name in changes else p for name, p in made.items()}

    def begin(self, support: Examples) -> Params:
        """The start of an inner loop: what is generated without noise."""
        return self(self.embed(support))
