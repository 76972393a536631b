"""A meta-learned update rule as an optimizer: what ``torch.optim`` optimizers are, this is.

The rule is the same object that was meta-trained; here it moves the parameters of one model, a batch of one task. What
it learned is what Adam's user tunes: there is no learning rate to choose, ``lr`` is a factor for schedules.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from quickstudy.apply._parameters import check_gradient, compiled_move, gradient, rows, working
from quickstudy.apply.trained_rules import check_rule, pretrained_rule, rule_of_run
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import parse_json, reason, write_atomic
from quickstudy.core.functional import Params
from quickstudy.core.packing import pack, unpack
from quickstudy.core.sealed import open_tensors, sealed_tensors
from quickstudy.rules import MovesOne, UpdateRule
from quickstudy.version import __version__

FORMAT = 1  # changes when an older file can no longer be read
LARGE = 4096  # numbers in a parameter, from which on it is compiled for


class LearnedOptimizer(Optimizer):
    """A learned update rule as a ``torch.optim.Optimizer``.

    Works with parameter groups, learning rate schedulers, gradient accumulation, ``torch.amp``, compiled models,
    parameters of any shape, and in half precision (its state is float32 then). Parameters without a gradient stay as
    they are. It needs memory for three momenta and a second moment (``FeatureMLP``, ``HyperMLP``).

    Args:
        params: parameters, named parameters or groups, as for every optimizer.
        rule: what moves them; None: the one that ships with the package. It stays as it is.
        lr: a factor on every step (1: as the rule learned it). Learning rate schedulers move it.
        weight_decay: the share of a parameter that is taken off with each step, times ``lr``.
        compile: compile ``FeatureMLP``'s step of large parameters when it is first made: some 20 seconds (on a CPU it
            needs a C++ compiler), and then a step takes a fraction of the time.

    Raises:
        UsageError: a rule that cannot be used this way, or an option out of its range.
    """

    def __init__(
        self,
        params: Any,
        rule: UpdateRule | None = None,
        *,
        lr: float = 1.0,
        weight_decay: float = 0.0,
        compile: bool = False,
    ) -> None:
        if lr < 0 or weight_decay < 0:
            raise UsageError(f"LearnedOptimizer needs lr >= 0 and weight_decay >= 0, got {lr} and {weight_decay}.")
        self.rule = pretrained_rule() if rule is None else rule
        check_rule(self.rule)
        if compile and not isinstance(self.rule, MovesOne):
            raise UsageError(f"compile=True is for FeatureMLP, and this rule is {type(self.rule).__name__}.")
        if isinstance(params, nn.Module):
            raise UsageError(f"params are what is to be moved: pass .parameters() of the {type(params).__name__}.")
        self.compile = compile
        self._rules: dict[tuple[torch.device, torch.dtype], UpdateRule] = {}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @classmethod
    def from_run(
        cls,
        run: str | Path,
        params: Any,
        *,
        checkpoint: int | None = None,
        lr: float = 1.0,
        weight_decay: float = 0.0,
        compile: bool = False,
    ) -> "LearnedOptimizer":
        """With the rule that a run trained.

        Args:
            run: the run folder of a learned optimizer.
            params: as for the class, like the other options.
            checkpoint: the outer step whose weights are taken (None: the best on validation).
            lr: a factor on every step.
            weight_decay: the share of a parameter that is taken off with each step, times ``lr``.
            compile: compile the step of large parameters.

        Raises:
            RunError: no run there, or a damaged one.
            UsageError: a run of something else.
        """
        return cls(params, rule_of_run(run, checkpoint), lr=lr, weight_decay=weight_decay, compile=compile)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient.

        Args:
            closure: computes the loss and its gradients anew, and gives the loss.

        Raises:
            UsageError: a sparse gradient, or a parameter that is not real-valued.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        together: dict[tuple[torch.device, torch.dtype], dict[str, tuple[Tensor, dict[str, Any]]]] = {}
        for i, group in enumerate(self.param_groups):
            for j, p in enumerate(group["params"]):
                if p.grad is not None and p.numel():
                    check_gradient(p)
                    together.setdefault((p.device, working(p)), {})[f"{i}.{j}"] = (p, group)
        for (device, dtype), members in together.items():
            rule = self._rule_for(device, dtype)
            rest = {name: m for name, m in members.items() if not (self.compile and m[0].numel() >= LARGE)}
            for name in members.keys() - rest.keys():
                self._move_one(rule, dtype, *members[name])
            if rest:
                self._move(rule, dtype, rest)
        return loss

    def _move_one(self, rule: UpdateRule, dtype: torch.dtype, p: Tensor, group: dict[str, Any]) -> None:
        """One parameter by the compiled step, in place."""
        if not self.state[p]:
            self.state[p] = {part: t[0] for part, t in rule.init({"p": p.to(dtype)[None]})["p"].items()}
        # Shapes are fixed here, and tensors are no views, so that the compiled function depends on neither.
        shape = (len(p), -1) if p.ndim > 1 else (-1,)
        own, g = (t.to(dtype).reshape(shape).data for t in (p.data, gradient(p)))
        state = {part: rows(t, own) for part, t in self.state[p].items()}
        compiled_move()(rule, own, g, state, own.new_tensor([group["lr"], group["weight_decay"]]))
        if own.data_ptr() != p.data_ptr():  # a copy: in half precision, or not contiguous
            p.copy_(own.view(p.shape))

    def _move(self, rule: UpdateRule, dtype: torch.dtype, members: dict[str, tuple[Tensor, dict[str, Any]]]) -> None:
        """All parameters of one device and type in one call of the rule, a batch of one task."""
        params: Params = {name: p.to(dtype)[None] for name, (p, _) in members.items()}
        grads: Params = {name: gradient(p).to(dtype)[None] for name, (p, _) in members.items()}
        new = rule.init({name: params[name] for name, (p, _) in members.items() if not self.state[p]})
        state = {
            name: new[name] if name in new else {part: t[None] for part, t in self.state[p].items()}
            for name, (p, _) in members.items()
        }
        moved, state = rule.update(params, grads, state)
        for name, (p, group) in members.items():
            step = moved[name] - params[name]
            if group["weight_decay"]:
                step = step - group["weight_decay"] * params[name]
            p.copy_((params[name] + group["lr"] * step)[0])
            self.state[p] = {part: t[0] for part, t in state[name].items()}

    def _rule_for(self, device: torch.device, dtype: torch.dtype) -> UpdateRule:
        own = next(self.rule.parameters())
        if (own.device, own.dtype) == (device, dtype):
            return self.rule
        if (device, dtype) not in self._rules:
            self._rules[device, dtype] = copy.deepcopy(self.rule).to(device, dtype)
        return self._rules[device, dtype]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            UsageError: the state is another rule's.
        """
        numbers = [n for group in state_dict["param_groups"] for n in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        given = [(p, state_dict["state"][n]) for n, p in zip(numbers, params, strict=False) if n in state_dict["state"]]
        for p, state in given:
            expected = {part: t.shape[1:] for part, t in self.rule.init({"p": torch.empty_like(p)[None]})["p"].items()}
            found = {part: getattr(t, "shape", None) for part, t in state.items()}
            if expected != found:
                raise UsageError(f"this state is of another rule or model: it has {found}, this rule {expected}.")
        super().load_state_dict(state_dict)
        for p, state in given:  # torch has made it of the parameter's type
            self.state[p] = {part: t.to(p.device, working(p), copy=True) for part, t in state.items()}

    def save(self, path: str | Path) -> None:
        """Write the state (not the rule) into one safetensors file, without pickle.

        Raises:
            RunError: it cannot be written, or a group holds something that is no number or text.
        """
        tensors: dict[str, Tensor] = {}
        packed = pack(self.state_dict(), "optimizer", tensors)
        content = {"format": FORMAT, "quickstudy": __version__, "state": packed}
        write_atomic(Path(path), sealed_tensors(tensors, {"optimizer": json.dumps(content)}), anywhere=True)

    def load(self, path: str | Path) -> None:
        """``load_state_dict`` of what ``save`` wrote.

        Raises:
            RunError: the file is missing, damaged (its checksum says so), or none of these.
            UsageError: the state is another rule's.
        """
        try:
            tensors, texts = open_tensors(Path(path))
            content = parse_json(texts["optimizer"])
            if content["format"] != FORMAT:
                raise ValueError(f"it has format {content['format']}, this is {FORMAT}")
            state = unpack(content["state"], tensors)
            groups = state["state"], [len(group["params"]) for group in state["param_groups"]]
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise RunError(
                f"{path} holds no optimizer's state as LearnedOptimizer.save writes it: {reason(error)}."
            ) from error
        if not isinstance(groups[0], dict) or groups[1] != [len(group["params"]) for group in self.param_groups]:
            raise UsageError(f"{path} is of another model: its groups have {groups[1]} parameters.")
        self.load_state_dict(state)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule, "compile": self.compile, "_rules": {}}
