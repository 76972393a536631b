"""A critic's scores of real, made and mixed sets of drawings, and of whole tasks; its loss and its slope."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.model_checks import floating_dtype
from quickstudy.nets.generators.class_images import SetCritic
from quickstudy.nets.generators.critic import hinge


class SetScores(NamedTuple):
    """Of sets ``[t, c, s]`` and of tasks ``[t, s]``."""

    real: Tensor
    made: Tensor
    mixed: Tensor
    real_task: Tensor
    made_task: Tensor

    def loss(self, mixed: float) -> Tensor:
        """The hinge loss of sets and of tasks; ``mixed`` is the weight of mixed sets beside made ones."""
        wrong = F.relu(1 + self.made).mean() + mixed * F.relu(1 + self.mixed).mean()
        return F.relu(1 - self.real).mean() + wrong / (1 + mixed) + hinge(self.real_task, self.made_task)

    def right(self) -> Tensor:
        """The share of real and made sets that it takes for what they are."""
        return _share(torch.cat([self.real.flatten() > 0, self.made.flatten() < 0]), self.real)

    def metrics(self) -> dict[str, Tensor]:
        """For people."""
        return {
            "critic_real": _share(self.real > 0, self.real),
            "critic_made": _share(self.made < 0, self.real),
            "critic_mixed": _share(self.mixed < 0, self.real),
            "critic_task": _share(torch.cat([self.real_task > 0, self.made_task < 0]), self.real),
            "opinion": self.made.detach().mean(),
        }


def set_scores(
    critic: SetCritic, real: Float[Tensor, "t c s k ch h w"], made: Float[Tensor, "t c s k ch h w"]
) -> SetScores:
    """A mixed set is a real one whose last drawing is replaced by one of the class before."""
    e_real, e_made = embed(critic, real), embed(critic, made)  # [t, c, s, k, f]
    e_mixed = torch.cat([e_real[..., :-1, :], e_real.roll(1, 1)[..., -1:, :]], -2)
    sets = [critic.of_set(e) for e in (e_real, e_made, e_mixed)]
    tasks = [critic.of_task(e.mean(3).transpose(1, 2)) for e in (e_real, e_made)]
    return SetScores(*sets, *tasks)


def embed(critic: SetCritic, x: Float[Tensor, "*n ch h w"]) -> Float[Tensor, "*n f"]:
    """Each drawing by itself, in the critic's precision."""
    x = x.to(floating_dtype(critic) or x.dtype)
    return critic.embed(x.flatten(0, -4)).unflatten(0, x.shape[:-3])


def slope_penalty(critic: SetCritic, real: Float[Tensor, "t c s k ch h w"]) -> Tensor:
    """The squared gradient of the critic by a set's pixels, of one class in five, mean over these sets."""
    some = real[:, : -(-real.shape[1] // 5)].flatten(0, 2).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(some).sum(), some, create_graph=True)
    return slope.square().flatten(1).sum(1).mean()


def _share(which: Tensor, like: Tensor) -> Tensor:
    return which.to(like.dtype).mean()
