"""In which precision a training or a test is computed, and where it cannot be."""

import warnings
from contextlib import AbstractContextManager
from typing import Any, get_args

import torch

from quickstudy.core.checks import one_of
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaLearner
from quickstudy.core.precision import Precision, computing_in

_DTYPES: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def in_precision(learner: MetaLearner[Any], precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """A context that computes the derivatives of a learner's networks in a precision.

    Raises:
        UsageError: the learner runs no network whose derivatives could be, is in another type than float32, or the
            device has nothing to compute with.

    Where it takes longer than float32: a ``UserWarning``.
    """
    one_of(get_args(Precision), precision=precision)
    low = _DTYPES.get(precision)
    if low is not None:
        _check(learner, precision, low, device)
    return computing_in(low)


def _check(learner: MetaLearner[Any], precision: str, low: torch.dtype, device: torch.device) -> None:
    what, name = f"precision={precision!r}", type(learner).__name__
    odd = {t.dtype for t in (*learner.parameters(), *learner.buffers()) if t.is_floating_point() or t.is_complex()}
    odd -= {torch.float32}
    if odd:
        raise UsageError(
            f"{what} rounds what is otherwise computed in float32, but {name} has numbers in {odd.pop()}; leave out "
            f"precision, or convert it (learner.float())."
        )
    if learner.task_model is None or learner.task_model.runs_tasks:
        raise UsageError(
            f"{what} rounds the products in the derivatives of a network that is run task by task; {name} has none "
            f"here, so that nothing would be rounded. Leave out precision."
        )
    if device.type == "cpu" and not _cpu_has(low):
        if low == torch.float16:
            raise UsageError(f"{what}: this CPU has no kernels for float16; leave out precision.")
        warnings.warn(f"{what}: this CPU has no kernels for bfloat16; it takes longer than float32.", stacklevel=4)
    if device.type == "cuda" and low == torch.bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError(f"{what}: this GPU does not compute in bfloat16; take precision='fp16', or leave it out.")


def _cpu_has(low: torch.dtype) -> bool:
    name = "bf16" if low == torch.bfloat16 else "fp16"
    return bool(getattr(torch.ops.mkldnn, f"_is_mkldnn_{name}_supported")())
