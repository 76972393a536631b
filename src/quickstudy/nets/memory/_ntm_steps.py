"""One step of the neural Turing machine and its derivative, written by hand; ``ntm.py`` has the equations.

Inside, the memory is ``[n, width, slots]``: the long axis last, along which the processor's vector units run.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from quickstudy.nets.memory._ntm_heads import TINY, Heads, Sizes, name_heads, norm_inverse, split_heads


class Kept(NamedTuple):
    """What a step leaves for the way back."""

    memory: Tensor
    before: Tensor  # reads and hidden state of the step before, side by side
    cell_before: Tensor
    cell_tanh: Tensor
    gates: Tensor  # after their nonlinearities
    hidden: Tensor
    parts: tuple[Tensor, Tensor, Tensor, Tensor]  # the heads' parameters, after their nonlinearities
    key_inverse: Tensor
    row_inverse: Tensor
    product: Tensor  # keys times rows, over the rows' lengths
    by_content: Tensor
    weights_before: Tensor
    padded: Tensor  # interpolated weights with the ends repeated
    moved: Tensor  # shifted weights, TINY added
    log_moved: Tensor
    weights: Tensor


def forward_step(
    inputs: Tensor,
    memory: Tensor,
    weights: Tensor,
    before: Tensor,
    cell: Tensor,
    w_before: Tensor,
    w_heads: Tensor,
    b_heads: Tensor,
    sizes: Sizes,
) -> tuple[Kept, Tensor, Tensor, Tensor]:
    """What is kept, and the memory, the reads with the hidden state beside, and the cell state after the step."""
    c = sizes.hidden
    gates = torch.addmm(inputs, before, w_before)
    cell_before = cell
    if sizes.recurrent:
        gates[:, : 3 * c].sigmoid_()
        gates[:, 3 * c :].tanh_()
        let_in, forget, out, new = gates.split(c, 1)
        cell = torch.addcmul(let_in * new, forget, cell)
        cell_tanh = cell.tanh()
        hidden = out * cell_tanh
    else:
        cell_tanh = cell
        hidden = gates.tanh_()
    tanh, sigmoid, softplus, softmax = torch.addmm(b_heads, hidden, w_heads).split(sizes.parts, 1)
    heads = sizes.reads + sizes.writes
    parts = (
        tanh.tanh(),
        sigmoid.sigmoid(),
        F.softplus(softplus),
        softmax.unflatten(1, (heads, -1)).softmax(-1).flatten(1),
    )
    p = name_heads(parts, sizes)

    key_inverse, row_inverse = norm_inverse(p.key), norm_inverse(memory, 1)
    product = torch.bmm(p.key, memory).mul_(row_inverse.unsqueeze(1))
    by_content = (product * (p.strength * key_inverse).unsqueeze(-1)).softmax(-1)
    mixed = torch.lerp(weights, by_content, p.gate.unsqueeze(-1))
    padded = pad(mixed, sizes.shift)
    moved = slide(padded, p.shift.flip(-1), TINY)
    log_moved = moved.log()
    after = (log_moved * (p.gamma + 1).unsqueeze(-1)).softmax(-1)

    reads = torch.bmm(after[:, : sizes.reads], memory.mT).flatten(1)
    kept = Kept(
        memory, before, cell_before, cell_tanh, gates, hidden, parts, key_inverse, row_inverse, product, by_content,
        weights, padded, moved, log_moved, after,
    )  # fmt: skip
    return kept, written(memory, after[:, sizes.reads :], p), torch.cat([reads, hidden], 1), cell


def written(memory: Tensor, weights: Tensor, p: Heads) -> Tensor:
    """The memory after erasing and adding."""
    if weights.shape[1] == 1:  # M + w (a - e M)
        return torch.addcmul(memory, weights, p.add.mT - memory * p.erase.mT)
    keep = memory
    for head in range(weights.shape[1]):
        keep = torch.addcmul(keep, p.erase[:, head, :, None] * weights[:, head, None], keep, value=-1)
    return torch.baddbmm(keep, p.add.mT, weights)


def pad(weights: Tensor, shift: int) -> Tensor:
    """The last ``shift`` slots before the first and the first after the last: the memory is a ring."""
    return torch.cat([weights[..., weights.shape[-1] - shift :], weights, weights[..., :shift]], -1)


def slide(padded: Tensor, taps: Tensor, start: float) -> Tensor:
    """``start + sum_j taps[j] padded[i + j]``."""
    slots = padded.shape[-1] - taps.shape[-1] + 1
    total = padded[..., :slots] * taps[..., :1]
    for j in range(1, taps.shape[-1]):
        total.addcmul_(padded[..., j : j + slots], taps[..., j : j + 1])
    return total.add_(start) if start else total


class Back(NamedTuple):
    """Derivatives by what a step started from; and by the preactivations, for the weights."""

    memory: Tensor
    weights: Tensor
    before: Tensor
    cell: Tensor
    gates: Tensor
    raw: Tensor


def backward_step(
    k: Kept,
    d_memory: Tensor,
    d_weights: Tensor,
    d_after: Tensor,
    d_cell: Tensor,
    w_before: Tensor,
    w_heads: Tensor,
    sizes: Sizes,
) -> Back:
    """The way back. ``d_after``: by the reads and the hidden state, side by side."""
    r = sizes.reads
    n, _, slots = k.memory.shape
    p = name_heads(k.parts, sizes)
    raw = torch.empty(n, sizes.head_parameters, dtype=k.hidden.dtype, device=k.hidden.device)
    d = split_heads(raw, sizes)
    d_reads, d_hidden = d_after.split([r * sizes.width, sizes.hidden], 1)
    d_reads = d_reads.unflatten(1, (r, sizes.width))

    # The memory written, and read.
    writing = k.weights[:, r:]
    d_now = torch.empty_like(k.weights)
    d.add.copy_(torch.bmm(writing, d_memory.mT))
    d_writing = torch.bmm(p.add, d_memory)
    erased = d_memory * k.memory
    if sizes.writes == 1:
        d.erase.copy_(torch.bmm(writing, erased.mT).neg_())
        d_now[:, r:] = torch.baddbmm(d_writing, p.erase, erased, alpha=-1)
        d_memory = torch.addcmul(d_memory, d_memory * p.erase.mT, writing, value=-1)
    else:
        keeps = 1 - p.erase.unsqueeze(-1) * writing.unsqueeze(-2)
        for head in range(sizes.writes):
            others = erased * torch.cat([keeps[:, :head], keeps[:, head + 1 :]], 1).prod(1)
            only = slice(head, head + 1)
            d.erase[:, only] = torch.bmm(writing[:, only], others.mT).neg_()
            d_now[:, r + head] = torch.baddbmm(d_writing[:, only], p.erase[:, only], others, alpha=-1)[:, 0]
        d_memory = d_memory * keeps.prod(1)
    d_now[:, :r] = torch.bmm(d_reads, k.memory)
    d_now += d_weights

    # Sharpening, shift, interpolation, content.
    gamma = (p.gamma + 1).unsqueeze(-1)
    d_power = softmax_back(d_now, k.weights)
    d.gamma.copy_((d_power * k.log_moved).sum(-1))
    d_moved = d_power.mul_(gamma).div_(k.moved)
    taps = p.shift.shape[-1]
    for j in range(taps):
        d.shift[..., j] = (d_moved * k.padded[..., taps - 1 - j : taps - 1 - j + slots]).sum(-1)
    d_mixed = slide(pad(d_moved, sizes.shift), p.shift, 0.0)
    gate = p.gate.unsqueeze(-1)
    d.gate.copy_((d_mixed * (k.by_content - k.weights_before)).sum(-1))
    d_content = d_mixed * gate
    d_weights = d_mixed.sub_(d_content)
    d_scaled = softmax_back(d_content, k.by_content)
    scale = p.strength * k.key_inverse
    by_product = d_scaled * k.product
    d_scale = by_product.sum(-1)
    d_product = d_scaled.mul_(scale.unsqueeze(-1)).mul_(k.row_inverse.unsqueeze(1))
    along = torch.bmm(scale.unsqueeze(1), by_product)[:, 0].mul_(k.row_inverse).mul_(k.row_inverse)
    d_memory = torch.addcmul(d_memory, along.unsqueeze(1), k.memory, value=-1)
    d_memory.baddbmm_(torch.cat([p.key, d_reads], 1).mT, torch.cat([d_product, k.weights[:, :r]], 1))
    d_key = torch.bmm(d_product, k.memory.mT)
    shorter = d_scale * scale * k.key_inverse * k.key_inverse
    d.key.copy_(torch.addcmul(d_key, shorter.unsqueeze(-1), p.key, value=-1))
    d.strength.copy_(d_scale * k.key_inverse)

    # The nonlinearities of the heads' parameters, and the controller.
    tanh, sigmoid, softplus, _ = k.parts
    d_tanh, d_sigmoid, d_softplus, d_softmax = raw.split(sizes.parts, 1)
    d_tanh.mul_(torch.addcmul(one(raw), tanh, tanh, value=-1))
    d_sigmoid.mul_(torch.addcmul(sigmoid, sigmoid, sigmoid, value=-1))
    d_softplus.mul_(1 - (-softplus).exp())  # the derivative of softplus by its value
    heads = len(p.gate[0])
    d_softmax.copy_(softmax_back(d_softmax.unflatten(1, (heads, -1)), p.shift).flatten(1))
    d_hidden = torch.addmm(d_hidden, raw, w_heads.mT)
    if sizes.recurrent:
        let_in, forget, out, new = k.gates.split(sizes.hidden, 1)
        d_cell = d_cell + d_hidden * out * (1 - k.cell_tanh.square())
        d_gates = torch.cat([d_cell * new, d_cell * k.cell_before, d_hidden * k.cell_tanh, d_cell * let_in], 1)
        gates = k.gates[:, : 3 * sizes.hidden]
        d_gates[:, : 3 * sizes.hidden].mul_(torch.addcmul(gates, gates, gates, value=-1))
        d_gates[:, 3 * sizes.hidden :].mul_(1 - new.square())
        d_cell = d_cell * forget
    else:
        d_gates = d_hidden * (1 - k.hidden.square())
    return Back(d_memory, d_weights, torch.mm(d_gates, w_before.mT), d_cell, d_gates, raw)


def softmax_back(d: Tensor, y: Tensor) -> Tensor:
    """The derivative by the logits of ``y = softmax(logits)``."""
    return torch.ops.aten._softmax_backward_data(d, y, -1, y.dtype)


def one(like: Tensor) -> Tensor:
    return torch.ones((), dtype=like.dtype, device=like.device)
