"""The steps of least recently used access with their derivative written by hand.

``lrua.py`` has the equations. Here they run over all steps without a graph, whose many small nodes take most of the
time; the weights' gradients are one product over all steps at the end. Where a derivative is to be differentiated
again, the graph of ``lrua_steps`` takes its place.

Legend for shapes: n sequences, h heads, i slots, d width of a slot.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from quickstudy.core.by_hand import by_graph, without_autocast

SMALL = 1e-6
"""Added in square to what a norm is the root of."""


class Sizes(NamedTuple):
    """What the shapes of the weights do not say."""

    heads: int
    width: int
    hidden: int
    decay: float
    sharpen: bool

    @property
    def parts(self) -> tuple[int, int, int]:
        """The heads' parameters: keys, gates, strengths."""
        return self.heads * self.width, self.heads, self.heads * self.sharpen


class Kept(NamedTuple):
    """What a step leaves for the way back."""

    memory: Tensor
    keep: Tensor
    key: Tensor
    gate: Tensor
    strength: Tensor
    moved: Tensor
    w_write: Tensor
    w_read: Tensor
    cosine: Tensor
    key_inverse: Tensor
    row_inverse: Tensor
    hidden: Tensor
    before: Tensor
    cell_before: Tensor
    cell_tanh: Tensor
    gates: Tensor


def norm_inverse(rows: Tensor) -> Tensor:
    """1 / the norm of each row."""
    return (rows.square().sum(-1) + SMALL).rsqrt()


def least_used(usage: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """A slot to each head, one-hot ``[n, h, i]``, and 0 for these slots, 1 for the others, ``[n, i, 1]``."""
    least = usage.topk(heads, largest=False).indices
    one_hot = usage.new_zeros(len(usage), heads, usage.shape[1]).scatter_(2, least.unsqueeze(-1), 1.0)
    return one_hot, torch.ones_like(usage).scatter_(1, least, 0.0).unsqueeze(-1)


def forward_step(
    x: Tensor,
    memory: Tensor,
    usage: Tensor,
    w_before: Tensor,
    before: Tensor,
    cell_before: Tensor,
    from_before: Tensor,
    to_heads: Tensor,
    bias: Tensor,
    sizes: Sizes,
) -> tuple[Kept, Tensor, Tensor, Tensor]:
    """One step: what is kept, usage, reads beside hidden state, cell state."""
    gates = torch.addmm(x, before, from_before)
    gates[:, : 3 * sizes.hidden].sigmoid_()
    gates[:, 3 * sizes.hidden :].tanh_()
    let_in, forget, out, new = gates.split(sizes.hidden, 1)
    cell = torch.addcmul(forget * cell_before, let_in, new)
    cell_tanh = cell.tanh()
    hidden = out * cell_tanh
    key, gate, strength = torch.addmm(bias, hidden, to_heads).split(sizes.parts, 1)
    key = key.tanh().unflatten(1, (sizes.heads, sizes.width))
    gate = gate.sigmoid().unsqueeze(-1)
    strength = F.softplus(strength)

    w_least, keep = least_used(usage, sizes.heads)
    moved = w_before - w_least
    w_write = torch.addcmul(w_least, gate, moved)
    memory = (memory * keep).baddbmm_(w_write.mT, key)
    key_inverse, row_inverse = norm_inverse(key), norm_inverse(memory)
    cosine = torch.bmm(key, memory.mT).mul_(key_inverse.unsqueeze(-1)).mul_(row_inverse.unsqueeze(1))
    scaled = cosine * (strength + 1).unsqueeze(-1) if sizes.sharpen else cosine
    w_read = scaled.softmax(-1)
    usage = torch.add((w_read + w_write).sum(1), usage, alpha=sizes.decay)
    after = torch.cat([torch.bmm(w_read, memory).flatten(1), hidden], 1)
    kept = Kept(
        memory, keep, key, gate, strength, moved, w_write, w_read, cosine, key_inverse, row_inverse, hidden, before,
        cell_before, cell_tanh, gates,
    )  # fmt: skip
    return kept, usage, after, cell


def backward_step(
    k: Kept,
    d_memory: Tensor,
    d_read: Tensor,
    d_after: Tensor,
    d_cell: Tensor,
    from_before: Tensor,
    to_heads: Tensor,
    sizes: Sizes,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """By the memory, read weights, outputs and cell state a step before; by the gates and the heads' parameters."""
    d_reads, d_hidden = d_after.split([sizes.heads * sizes.width, sizes.hidden], 1)
    d_reads = d_reads.unflatten(1, (sizes.heads, sizes.width))
    # Read by content.
    d_read = torch.baddbmm(d_read, d_reads, k.memory.mT)
    d_scaled = torch.ops.aten._softmax_backward_data(d_read, k.w_read, -1, d_read.dtype)
    d_cosine = d_scaled * (k.strength + 1).unsqueeze(-1) if sizes.sharpen else d_scaled
    by_cosine = d_cosine * k.cosine
    d_product = d_cosine.mul(k.key_inverse.unsqueeze(-1)).mul_(k.row_inverse.unsqueeze(1))
    shorter = by_cosine.sum(1).mul_(k.row_inverse).mul_(k.row_inverse)
    d_memory = torch.addcmul(d_memory, shorter.unsqueeze(-1), k.memory, value=-1)
    d_memory.baddbmm_(torch.cat([d_product, k.w_read], 1).mT, torch.cat([k.key, d_reads], 1))
    along = by_cosine.sum(2).mul_(k.key_inverse).mul_(k.key_inverse)
    d_key = torch.addcmul(torch.bmm(d_product, k.memory), along.unsqueeze(-1), k.key, value=-1)
    # Write where it was used least, or where it was read.
    d_key.baddbmm_(k.w_write, d_memory)
    d_write = torch.bmm(k.key, d_memory.mT)
    d_memory = d_memory.mul_(k.keep)
    d_gate = (d_write * k.moved).sum(-1, keepdim=True)
    d_read = d_write * k.gate
    # The heads' parameters, and the controller.
    parts = [(d_key * (1 - k.key.square())).flatten(1), (d_gate * k.gate * (1 - k.gate)).squeeze(-1)]
    if sizes.sharpen:
        parts.append((d_scaled * k.cosine).sum(-1) * (1 - (-k.strength).exp()))  # softplus's derivative by its value
    raw = torch.cat(parts, 1)
    d_hidden = torch.addmm(d_hidden, raw, to_heads)
    let_in, forget, out, new = k.gates.split(sizes.hidden, 1)
    d_cell = d_cell + d_hidden * out * (1 - k.cell_tanh.square())
    d_gates = torch.cat([d_cell * new, d_cell * k.cell_before, d_hidden * k.cell_tanh, d_cell * let_in], 1)
    sigmoids = k.gates[:, : 3 * sizes.hidden]
    d_gates[:, : 3 * sizes.hidden].mul_(sigmoids - sigmoids.square())
    d_gates[:, 3 * sizes.hidden :].mul_(1 - new.square())
    return d_memory, d_read, torch.mm(d_gates, from_before), d_cell * forget, d_gates, raw


class ReadByHand(torch.autograd.Function):
    """All steps: ``apply(sizes, graph, inputs [steps, n, gates], *state, *weights)``.

    Gives hidden states and reads after each step, ``[steps, n, ...]``, and memory, usage, read weights and cell state
    after the last.
    """

    @staticmethod
    def forward(ctx: Any, sizes: Sizes, graph: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> Any:
        inputs, memory, usage, w_read, reads, hidden, cell, from_before, to_heads, bias = tensors
        before = torch.cat([reads, hidden], 1)
        kept: list[Kept] = []
        outputs: list[Tensor] = []
        for x in inputs:
            k, usage, before, cell = forward_step(
                x, memory, usage, w_read, before, cell, from_before.mT, to_heads.mT, bias, sizes
            )
            memory, w_read = k.memory, k.w_read
            outputs.append(before)
            if any(ctx.needs_input_grad):
                kept.append(k)
        ctx.sizes, ctx.graph, ctx.kept = sizes, graph, kept
        ctx.save_for_backward(*tensors)
        reads, hidden = torch.stack(outputs).split([sizes.heads * sizes.width, sizes.hidden], -1)
        ctx.mark_non_differentiable(usage)
        return hidden.contiguous(), reads.contiguous(), memory.clone(), usage, w_read.clone(), cell.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        tensors: tuple[Tensor, ...] = ctx.saved_tensors
        with without_autocast(tensors[0]):
            if torch.is_grad_enabled():  # to be differentiated again
                return None, None, *by_graph(partial(ctx.graph, ctx.sizes), tensors, ctx.needs_input_grad[2:], grads)
            return None, None, *_all_back(ctx.sizes, ctx.kept, tensors, grads)


def _all_back(
    sizes: Sizes, kept: list[Kept], tensors: tuple[Tensor, ...], grads: tuple[Tensor, ...]
) -> tuple[Tensor | None, ...]:
    from_before, to_heads = tensors[7], tensors[8]
    d_hidden, d_reads, d_memory, _, d_read, d_cell = grads
    d_outputs = torch.cat([d_reads, d_hidden], -1)
    d_before = torch.zeros_like(d_outputs[0])
    gates: list[Tensor] = []
    raws: list[Tensor] = []
    for k, d_out in zip(reversed(kept), reversed(d_outputs.unbind(0)), strict=True):
        d_memory, d_read, d_before, d_cell, d_gates, raw = backward_step(
            k, d_memory, d_read, d_out + d_before, d_cell, from_before, to_heads, sizes
        )
        gates.append(d_gates)
        raws.append(raw)
    d_gates, raw = torch.stack(gates[::-1]), torch.stack(raws[::-1])
    flat = raw.flatten(0, 1)
    d_first_reads, d_first_hidden = d_before.split([sizes.heads * sizes.width, sizes.hidden], 1)
    return (
        d_gates, d_memory, None, d_read, d_first_reads, d_first_hidden, d_cell,
        d_gates.flatten(0, 1).mT @ torch.cat([k.before for k in kept]),
        flat.mT @ torch.cat([k.hidden for k in kept]),
        flat.sum(0),
    )  # fmt: skip
