"""Convolution, BatchNorm, ReLU and 2x2 max-pooling as one step that is fast on a CPU, and twice differentiable.

Half of a small network's time goes into what follows its convolutions, which is bound by memory. Three observations:

1. ``relu(a y + b)`` rises with y where a > 0, so pooling comes first: ``pool(relu(a y + b)) = relu(a pool(y) + b)``,
   and all that follows works on a quarter of the elements. Where BatchNorm's weight is negative, its sign goes into the
   convolution's filters (the sign of their outputs).
2. The convolution's bias cancels against the batch's mean.
3. The gradient of a normalisation is linear in y but for the few elements that were picked: one pass over y.

With y ``[n, c, h, w]`` the convolution's outputs, N = n h w per channel, P the picked elements, and per channel mean m,
r = 1 / sqrt(var + eps), x = (y - m) r, xP = (P - m) r, weight g > 0, bias b, the step and its gradient are

    z = relu(g xP + b)
    q = dz where z > 0        db = sum q        dg = sum q xP
    dy = g r (put(q) - (db + x dg) / N)                             put: back to where the elements were picked

and, for the second derivative, with cotangents U of dy, u of dg and t of db, A = sum U, B = sum U x, and D the sum of
q U over the picked elements,

    q' = g r (U at P - (A + xP B) / N) + u xP + t
    g' = r E,    E = D - (db A + dg B) / N
    X  = put(q (u - g r B / N)) - g r dg U / N                      the cotangent of x
    y' = r (X - mean X - x mean(X x)) - g E r^2 x / N
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from quickstudy.core._convolution import channels_last, twice_at_most
from quickstudy.core.by_hand import under_autocast
from quickstudy.core.recording import is_recorded

_aten = torch.ops.aten


def conv_block(
    x: Float[Tensor, "n c h w"],
    weight: Float[Tensor, "out c k k"],
    bias: Float[Tensor, " out"],
    running_mean: Float[Tensor, " out"] | None,
    running_var: Float[Tensor, " out"] | None,
    norm_weight: Float[Tensor, " out"],
    norm_bias: Float[Tensor, " out"],
    training: bool,
    momentum: float,
    eps: float,
    padding: int,
    pool: bool,
) -> Float[Tensor, "n out h2 w2"]:
    """Convolution (stride 1), ``F.batch_norm``, ReLU and, if ``pool``, 2x2 max-pooling, step by step.

    ``quickstudy.core.batchnorm.BatchNormAs`` puts ``normalised_by_batch`` in its place where that is faster.
    """
    if has_torch_function_unary(x):
        args = (x, weight, bias, running_mean, running_var, norm_weight, norm_bias, training, momentum, eps, padding)
        return handle_torch_function(conv_block, (x,), *args, pool)
    y = F.conv2d(x, weight, bias, padding=padding)
    z = F.relu(F.batch_norm(y, running_mean, running_var, norm_weight, norm_bias, training, momentum, eps))
    return F.max_pool2d(z, 2) if pool else z


def takes(x: Tensor, weight: Tensor) -> bool:
    """Whether the formulas are for these: in one precision of at least float32, without autocast, on such a device."""
    known = x.device.type in ("cpu", "cuda") and x.dtype == weight.dtype in (torch.float32, torch.float64)
    return known and not under_autocast(x)


def signs(norm_weight: Tensor) -> Tensor | None:
    """Of BatchNorm's weight, ``[out]``: -1 or 1; None where all are known to be positive (only a CPU is asked,
    and not while its work is recorded)."""
    negative = norm_weight.detach() < 0
    if norm_weight.device.type == "cpu" and not is_recorded() and not bool(negative.any()):
        return None
    return torch.where(negative, -1.0, 1.0).to(norm_weight.dtype)


def normalised_by_batch(y: Tensor, norm_weight: Tensor, norm_bias: Tensor, eps: float, pool: bool) -> Tensor:
    """BatchNorm by the batch's statistics, ReLU and pooling of y ``[n, c, h, w]``, norm_weight >= 0."""
    return _NormReluPool.apply(y, norm_weight, norm_bias, eps, pool)  # type: ignore[no-any-return]


def normalised_by(y: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float, pool: bool) -> Tensor:
    """The same by given statistics."""
    scale = weight * torch.rsqrt(var + eps)
    picked = F.max_pool2d(y, 2) if pool else y
    return F.relu(picked * _wide(scale) + _wide(bias - mean * scale))


class _NormReluPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, g: Tensor, b: Tensor, eps: float, pool: bool) -> Tensor:
        mean, var = torch.batch_norm_update_stats(y, None, None, 0.0)
        r = var.add_(eps).rsqrt_()
        gr = g * r
        picked, index = _aten.max_pool2d_with_indices(y, [2, 2]) if pool else (y, None)
        z = torch.addcmul(_wide(torch.addcmul(b, mean, gr, value=-1)), picked, _wide(gr)).relu_()
        ctx.save_for_backward(y, g, mean, r, gr, picked, index, z)
        return z

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        y, g, *rest = ctx.saved_tensors
        return *_NormReluPoolGradient.apply(grads[0], y, g, *rest), None, None


class _NormReluPoolGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        dz: Tensor,
        y: Tensor,
        g: Tensor,
        mean: Tensor,
        r: Tensor,
        gr: Tensor,
        picked: Tensor,
        index: Tensor | None,
        z: Tensor,
    ) -> Any:
        ctx.set_materialize_grads(False)
        q = _aten.threshold_backward(channels_last(dz), z, 0.0)
        xp = torch.addcmul(_wide(-mean * r), picked, _wide(r))
        db, dg = _sum(q), _sum(q * xp)
        gr_n = gr * (-len(g) / y.numel())  # -g r / N
        slope = gr_n * r * dg
        dy = _put(q * _wide(gr), index, y)
        dy.add_(torch.addcmul(_wide(torch.addcmul(gr_n * db, slope, mean, value=-1)), y, _wide(slope)))
        ctx.save_for_backward(y, g, mean, r, gr, gr_n, xp, index, z, q, dg, db)
        return dy, dg, db

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        twice_at_most()
        y, g, mean, r, gr, gr_n, xp, index, z, q, dg, db = ctx.saved_tensors
        u_y, u_g, u_b = cotangents
        zero = torch.zeros_like(g)
        inverse_n = len(g) / y.numel()
        a_sum, b_sum, d_sum, at_picked = zero, zero, zero, None
        if u_y is not None:
            u_y = channels_last(u_y)
            at_picked = _pick(u_y, index)
            a_sum, b_sum, d_sum = _sum(u_y), _sum((y - _wide(mean)).mul_(u_y)).mul_(r), _sum(q * at_picked)
        of_x = gr_n * b_sum  # what each picked element passes on to x
        of_b = gr_n * a_sum
        if u_g is not None:
            of_x.add_(u_g)
        if u_b is not None:
            of_b.add_(u_b)
        of_q = torch.addcmul(_wide(of_b), xp, _wide(of_x))
        if at_picked is not None:
            of_q.addcmul_(at_picked, _wide(gr))
        to_dz = _aten.threshold_backward(of_q, z, 0.0)
        e = torch.sub(d_sum, torch.addcmul(db * a_sum, dg, b_sum), alpha=inverse_n)
        share = gr_n * dg  # X = put(q of_x) + share U
        r_n = r * inverse_n
        k0 = torch.addcmul(share * a_sum, of_x, db).mul_(r_n)
        k1 = torch.addcmul(share * b_sum, of_x, dg).addcmul_(gr, e).mul_(r_n).mul_(r)
        to_y = _put(q * _wide(r * of_x), index, y)
        to_y.add_(torch.addcmul(_wide(torch.addcmul(-k0, k1, mean)), y, _wide(-k1)))
        if u_y is not None:
            to_y.addcmul_(u_y, _wide(r * share))
        return to_dz, to_y, r * e, None, None, None, None, None, None


def _wide(per_channel: Tensor) -> Tensor:
    return per_channel.view(1, -1, 1, 1)


def _sum(t: Tensor) -> Tensor:
    """Per channel."""
    return t.sum((0, 2, 3))


def _pick(t: Tensor, index: Tensor | None) -> Tensor:
    """The elements that the pooling picked."""
    if index is None:
        return t
    rows = t.permute(0, 2, 3, 1).flatten(1, 2)  # [n, h * w, c], no copy where channels are last
    where = index.permute(0, 2, 3, 1)
    return rows.gather(1, where.flatten(1, 2)).view(where.shape).permute(0, 3, 1, 2)


def _put(picked: Tensor, index: Tensor | None, like: Tensor) -> Tensor:
    """The picked elements where they were, zeros elsewhere; a new tensor."""
    if index is None:
        return picked
    return _aten.max_pool2d_with_indices_backward(picked, like, [2, 2], [], [0, 0], [1, 1], False, index)
