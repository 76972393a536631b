"""A whole sequence read by the neural Turing machine without a graph, and the way back.

A graph of a step has some hundred small nodes, and their bookkeeping is most of the time. Here the steps are one node:
the derivative goes back over them by hand, and the weights' gradients are one product over all steps at the end. Where
a derivative is to be differentiated again, the graph of ``ntm_steps`` takes its place.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from quickstudy.core.by_hand import by_graph, without_autocast
from quickstudy.nets.memory._ntm_heads import Sizes
from quickstudy.nets.memory._ntm_steps import Kept, backward_step, forward_step


class ReadByHand(torch.autograd.Function):
    """All steps: ``apply(sizes, graph, inputs [steps, n, gates], *state, *weights)``.

    Gives hidden states and reads after each step, ``[steps, n, ...]``, and memory, weights and cell after the last.
    """

    @staticmethod
    def forward(ctx: Any, sizes: Sizes, graph: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> Any:
        inputs, memory, weights, reads, hidden, cell, w_before, w_heads, b_heads = tensors
        w_before_t, w_heads_t = w_before.mT, w_heads.mT
        before, memory = torch.cat([reads, hidden], 1), memory.mT.contiguous()
        kept: list[Kept] = []
        outputs: list[Tensor] = []
        keep = any(ctx.needs_input_grad)
        for x in inputs:
            k, memory, after, cell = forward_step(
                x, memory, weights, before, cell, w_before_t, w_heads_t, b_heads, sizes
            )
            weights = k.weights
            before = after[:, : w_before.shape[1]]
            outputs.append(after)
            if keep:
                kept.append(k)
        ctx.sizes, ctx.graph, ctx.kept = sizes, graph, kept
        ctx.save_for_backward(*tensors)
        reads, hidden = torch.stack(outputs).split([sizes.reads * sizes.width, sizes.hidden], -1)
        return hidden.contiguous(), reads.contiguous(), memory.mT.contiguous(), weights.clone(), cell.clone()

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
    w_before, w_heads = tensors[6].mT, tensors[7].mT
    d_hidden, d_reads, d_memory, d_weights, d_cell = grads
    d_outputs = torch.cat([d_reads, d_hidden], -1)
    d_memory = d_memory.mT.contiguous()
    d_gates: list[Tensor] = []
    d_raw: list[Tensor] = []
    width = len(w_before)
    d_before = torch.zeros_like(d_outputs[0, :, :width])
    for k, d_out in zip(reversed(kept), reversed(d_outputs.unbind(0)), strict=True):
        d_out[:, :width] += d_before
        back = backward_step(k, d_memory, d_weights, d_out, d_cell, w_before, w_heads, sizes)
        d_memory, d_weights, d_before, d_cell = back.memory, back.weights, back.before, back.cell
        d_gates.append(back.gates)
        d_raw.append(back.raw)
    gates, raw = torch.stack(d_gates[::-1]), torch.stack(d_raw[::-1])
    flat, flat_raw = gates.flatten(0, 1), raw.flatten(0, 1)
    d_read, d_hid = d_before.split([sizes.reads * sizes.width, width - sizes.reads * sizes.width], 1)
    return (
        gates, d_memory.mT, d_weights, d_read, d_hid, d_cell,
        flat.mT @ torch.cat([k.before for k in kept]),
        flat_raw.mT @ torch.cat([k.hidden for k in kept]),
        flat_raw.sum(0),
    )  # fmt: skip
