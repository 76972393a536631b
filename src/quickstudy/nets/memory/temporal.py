"""Causal blocks for sequences that many questions may follow: SNAIL's attention, dense and temporal convolution blocks.

A sequence is a history and one last step. Every block looks back only, so the history's activations are the same
whatever comes last: ``read`` computes them once and keeps what a last step will look at, and ``ask`` computes any
number of alternative last steps from that. No last step sees another, and the cost is linear in their number.

Steps of the history may be absent (padding): absent ones come first, and nothing looks at them.

Reference: Mishra, Rohaninejad, Chen, Abbeel: A Simple Neural Attentive Meta-Learner. ICLR 2018 (section 3, figure 2).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple, cast, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

DISTINCT = 3.0
"""What keys start larger by, so that attention begins as more than a mean."""


class CausalBlock(nn.Module, ABC):
    """A block that looks back only; it sets ``out_channels``."""

    out_channels: int

    @abstractmethod
    def read(
        self, x: Float[Tensor, "tasks n c"], present: Bool[Tensor, "tasks n"]
    ) -> tuple[Float[Tensor, "tasks n d"], Any]:
        """The history's activations, and what a last step looks at."""

    @abstractmethod
    def ask(self, x: Float[Tensor, "tasks q c"], memory: Any) -> Float[Tensor, "tasks q d"]:
        """The activations of ``q`` alternative last steps."""


class Seen(NamedTuple):
    """What attention looks at: keys, values, and which steps count."""

    keys: Float[Tensor, "tasks n k"]
    values: Float[Tensor, "tasks n v"]
    present: Bool[Tensor, "tasks n"]


@final
class CausalAttention(CausalBlock):
    """One head of attention to the steps so far and to itself; what is read is appended. Queries start as the keys.

    Args:
        channels: per step of the input.
        keys: numbers per key.
        values: numbers per value; the output has ``channels + values``.
    """

    def __init__(self, channels: int, keys: int, values: int) -> None:
        super().__init__()
        self.out_channels = channels + values
        self.to_query = nn.Linear(channels, keys)
        self.to_key = nn.Linear(channels, keys)
        self.to_value = nn.Linear(channels, values)
        self.scale = 1 / math.sqrt(keys)
        with torch.no_grad():  # at the start a step looks at those like it: learning to compare takes long otherwise
            self.to_key.weight.mul_(DISTINCT)
            self.to_query.load_state_dict(self.to_key.state_dict())

    def read(self, x: Tensor, present: Tensor) -> tuple[Tensor, Seen]:
        keys, values = self.to_key(x), self.to_value(x)
        own = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)  # an absent step has itself to look at
        past = torch.ones_like(own).tril(-1)
        visible = own | (past & present.unsqueeze(1))
        scores = self.scale * self.to_query(x) @ keys.mT
        read = scores.masked_fill(~visible, -math.inf).softmax(-1) @ values
        return torch.cat([x, read], -1), Seen(keys, values, present)

    def ask(self, x: Tensor, memory: Seen) -> Tensor:
        query, value = self.scale * self.to_query(x), self.to_value(x)
        past = (query @ memory.keys.mT).masked_fill(~memory.present.unsqueeze(1), -math.inf)
        own = (query * self.to_key(x)).sum(-1, keepdim=True)
        weights = torch.cat([past, own], -1).softmax(-1)
        return torch.cat([x, weights[..., :-1] @ memory.values + weights[..., -1:] * value], -1)


@final
class DenseBlock(CausalBlock):
    """A gated causal convolution of two taps, ``dilation`` steps apart; its activations are appended.

        a_t = tanh(W_f x_t + V_f x_{t-d} + b_f) * sigmoid(W_g x_t + V_g x_{t-d} + b_g)

    Args:
        channels: per step of the input.
        dilation: d, >= 1.
        filters: numbers per step that it appends.
    """

    def __init__(self, channels: int, dilation: int, filters: int) -> None:
        super().__init__()
        self.out_channels = channels + filters
        self.dilation = dilation
        self.now = nn.Linear(channels, 2 * filters)
        self.before = nn.Linear(channels, 2 * filters, bias=False)

    def read(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        n, d = x.shape[1], self.dilation
        before = self.before(torch.where(present.unsqueeze(-1), x, 0.0))
        shifted = F.pad(before, (0, 0, d, 0))  # [tasks, n + d, 2 * filters]: zeros where there was nothing yet
        return self._gated(x, shifted[:, :n]), shifted[:, n : n + 1]

    def ask(self, x: Tensor, memory: Tensor) -> Tensor:
        return self._gated(x, memory)

    def _gated(self, x: Tensor, before: Tensor) -> Tensor:
        f, g = (self.now(x) + before).chunk(2, dim=-1)
        return torch.cat([x, f.tanh() * g.sigmoid()], -1)


@final
class Chain(CausalBlock):
    """Blocks one after the other.

    Args:
        blocks: at least one, each of the channels that the one before gives.
    """

    def __init__(self, blocks: Iterable[CausalBlock]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.out_channels = self._chain[-1].out_channels

    @property
    def _chain(self) -> list[CausalBlock]:
        return cast(list[CausalBlock], list(self.blocks))

    def read(self, x: Tensor, present: Tensor) -> tuple[Tensor, list[Any]]:
        memories: list[Any] = []
        for block in self._chain:
            x, memory = block.read(x, present)
            memories.append(memory)
        return x, memories

    def ask(self, x: Tensor, memory: list[Any]) -> Tensor:
        for block, kept in zip(self._chain, memory, strict=True):
            x = block.ask(x, kept)
        return x


def tc_block(channels: int, length: int, filters: int) -> Chain:
    """A temporal convolution block: dense blocks of dilations 1, 2, 4, ... that together look ``length`` steps back.

    >>> block = tc_block(8, length=6, filters=4)
    >>> [dense.dilation for dense in block.blocks], block.out_channels
    ([1, 2, 4], 20)
    """
    dilations = [2**i for i in range((length - 1).bit_length())]
    return Chain(DenseBlock(channels + i * filters, d, filters) for i, d in enumerate(dilations))
