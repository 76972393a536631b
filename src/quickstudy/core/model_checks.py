"""What a network must be for a learner to run it under each task's own parameters; said when the learner is built."""

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from quickstudy.core.errors import UsageError

_WRAP = "wrap it in a module whose forward(x) returns the one tensor of predictions"


def check_model(model: nn.Module) -> None:
    """Raise ``UsageError`` for a model that cannot be run task by task, with what to do.

    Lazy layers, data-parallel and compiled models, embeddings that change their weights or give sparse gradients,
    weights computed outside of ``forward``, and a ``forward`` that does not take one input.
    """
    given: Any = model
    if not isinstance(given, nn.Module):
        is_class = isinstance(given, type)
        got = f"the class {given.__name__} itself; make one: {given.__name__}(...)" if is_class else f"{given!r:.60}"
        raise UsageError(f"the model must be a torch.nn.Module (a function can be wrapped in one), got {got}.")
    if hasattr(given, "meta_loss"):
        raise UsageError(f"the model must be a network, got {type(given).__name__}, a learner; pass its network.")
    for name, m in model.named_modules():
        what = f"the model's layer {name!r} ({type(m).__name__})" if name else f"the model ({type(m).__name__})"
        if any(is_lazy(t) for t in (*m.parameters(recurse=False), *m.buffers(recurse=False))):
            raise UsageError(f"{what} is lazy and has no weights yet; run the model on one batch of inputs first.")
        if isinstance(m, nn.DataParallel | nn.parallel.DistributedDataParallel):
            raise UsageError(
                f"{what} spreads a batch over devices by itself, which cannot be under each task's own parameters; "
                f"pass its .module, and start one process per device with torchrun."
            )
        if "_orig_mod" in m._modules or m._compiled_call_impl is not None:
            raise UsageError(
                f"{what} was compiled by torch.compile, which can be differentiated once only and would be compiled "
                f"anew for every task; pass the model as it was before, and compile=True to qs.train."
            )
        if isinstance(m, nn.Embedding | nn.EmbeddingBag):
            _check_embedding(what, m)
        for attribute, t in vars(m).items():
            if isinstance(t, Tensor) and t.grad_fn is not None:
                raise UsageError(
                    f"{what} holds {attribute!r}, a tensor computed from parameters, which cannot be exchanged for "
                    f"each task nor copied; compute it in forward (torch.nn.utils.weight_norm and spectral_norm: take "
                    f"those of torch.nn.utils.parametrizations; prune: call prune.remove), or keep it detached."
                )
    try:
        inspect.signature(model.forward).bind(None)
    except TypeError as error:
        raise UsageError(
            f"forward of {type(model).__name__} must take one input, the examples of a task, but {error}; {_WRAP}, and "
            f"takes apart what it needs."
        ) from error
    except ValueError:  # a forward without a signature is found out when it runs
        pass


def one_tensor(output: Any, model: nn.Module) -> Tensor:
    """What a model's forward gave, if it is a tensor.

    Raises:
        UsageError: it is a tuple, a dict, an output object of another library, ...
    """
    if isinstance(output, Tensor):
        return output
    raise UsageError(
        f"forward of {type(model).__name__} gave a {type(output).__name__}, not a tensor; {_WRAP} (output.logits, "
        f"output['logits'] or output[0], say)."
    )


def check_differentiable() -> None:
    """Raise ``UsageError`` in inference mode, in which no derivative can be taken."""
    if torch.is_inference_mode_enabled():
        raise UsageError(
            "torch.inference_mode() switches derivatives off for good, and adapting by gradient steps needs them; use "
            "torch.no_grad() around it, which keeps no graph either."
        )


def floating_dtype(module: nn.Module) -> torch.dtype | None:
    """The floating type in which a module computes: that of its first such parameter or buffer (None: it has none)."""
    tensors = (t for of in (module.parameters(), module.buffers()) for t in of)
    return next((t.dtype for t in tensors if t.is_floating_point()), None)


@contextmanager
def precision_told(module: nn.Module) -> Generator[None]:
    """What torch cannot do in another precision than float32 is said in a sentence.

    Raises:
        UsageError: torch raised an error, and the module is in another precision.
    """
    try:
        yield
    except RuntimeError as error:
        dtype = floating_dtype(module)
        if dtype in (None, torch.float32):
            raise
        raise UsageError(
            f"{type(module).__name__} cannot run in {dtype} here ({str(error).strip().splitlines()[0]}); keep it in "
            f"float32 (learner.float()), and use torch.autocast where less precision will do."
        ) from error


def device_of(module: nn.Module) -> torch.device:
    """Where a module is: its first parameter or buffer; the CPU, where it has none."""
    tensors = (t for of in (module.parameters(), module.buffers()) for t in of)
    return next((t.device for t in tensors), torch.device("cpu"))


def _check_embedding(what: str, m: nn.Embedding | nn.EmbeddingBag) -> None:
    if m.max_norm is not None:
        raise UsageError(
            f"{what} has max_norm={m.max_norm}, by which a forward changes its own weights, those of the learner among "
            f"them; leave max_norm out and scale what the layer gives, in forward."
        )
    if m.sparse:
        raise UsageError(f"{what} gives sparse gradients, which no inner step takes; build it with sparse=False.")
