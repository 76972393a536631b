"""A meta-learned update rule as an optimizer: what ``torch.optim`` optimizers are, this is.

The rule is the same object that was meta-trained; here it moves the parameters of one model, a batch of one task. What
it learned is what Adam's user tunes: there is no learning rate to choose, ``lr`` is a factor for schedules.
"""

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, overload

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torch.optim import Optimizer

from quickstudy.apply import pretrained
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import write_atomic
from quickstudy.core.functional import Params
from quickstudy.core.learner import MetaLearner
from quickstudy.core.packing import pack, to_save, unpack
from quickstudy.rules import MovesOne, UpdateRule
from quickstudy.training.runs import Run
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
        _check(self.rule)
        if compile and not isinstance(self.rule, MovesOne):
            raise UsageError(f"compile=True is for FeatureMLP, and this rule is {type(self.rule).__name__}.")
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
                    _check_gradient(p)
                    together.setdefault((p.device, _working(p)), {})[f"{i}.{j}"] = (p, group)
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
        own, g = (t.to(dtype).reshape(shape).data for t in (p.data, _gradient(p)))
        state = {part: _rows(t, own) for part, t in self.state[p].items()}
        _compiled()(rule, own, g, state, own.new_tensor([group["lr"], group["weight_decay"]]))
        if own.data_ptr() != p.data_ptr():  # a copy: in half precision, or not contiguous
            p.copy_(own.view(p.shape))

    def _move(self, rule: UpdateRule, dtype: torch.dtype, members: dict[str, tuple[Tensor, dict[str, Any]]]) -> None:
        """All parameters of one device and type in one call of the rule, a batch of one task."""
        params: Params = {name: p.to(dtype)[None] for name, (p, _) in members.items()}
        grads: Params = {name: _gradient(p).to(dtype)[None] for name, (p, _) in members.items()}
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
            self.state[p] = {part: t.to(p.device, _working(p), copy=True) for part, t in state.items()}

    def save(self, path: str | Path) -> None:
        """Write the state (not the rule) into one safetensors file, without pickle.

        Raises:
            RunError: it cannot be written, or a group holds something that is no number or text.
        """
        tensors: dict[str, Tensor] = {}
        packed = pack(self.state_dict(), "optimizer", tensors)
        content = {"format": FORMAT, "quickstudy": __version__, "state": packed}
        write_atomic(Path(path), safetensors.torch.save(to_save(tensors), {"optimizer": json.dumps(content)}))

    def load(self, path: str | Path) -> None:
        """``load_state_dict`` of what ``save`` wrote.

        Raises:
            RunError: the file is missing, damaged, or none of these.
            UsageError: the state is another rule's.
        """
        try:
            with safetensors.safe_open(path, "pt") as file:
                content = json.loads((file.metadata() or {})["optimizer"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if content["format"] != FORMAT:
                raise ValueError(f"it has format {content['format']}, this is {FORMAT}")
            state = unpack(content["state"], tensors)
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            raise RunError(f"{path} holds no optimizer's state as LearnedOptimizer.save writes it: {error}.") from error
        self.load_state_dict(state)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule, "compile": self.compile, "_rules": {}}


def rule_of_run(run: str | Path, checkpoint: int | None = None) -> UpdateRule:
    """The rule that a run trained (None: with the best checkpoint's weights).

    Raises:
        RunError: no run there, or a damaged one.
        UsageError: a run of something else.
    """
    return _rule_of(Run.open(run).learner(checkpoint), run)


def pretrained_rule() -> UpdateRule:
    """The rule that ships with the package; ``quickstudy.pretrained.about("optimizer")`` says how it was trained."""
    return _rule_of(pretrained.load("optimizer"), "the package")


def _rule_of(learner: MetaLearner, where: str | Path) -> UpdateRule:
    rule = getattr(learner, "rule", None)
    if not isinstance(rule, UpdateRule):
        raise UsageError(f"{where} trained {type(learner).__name__}, which has no rule to optimize by.")
    return rule


def _move_in_place(rule: MovesOne, p: Tensor, g: Tensor, state: dict[str, list[Tensor]], factors: Tensor) -> None:
    moved, after = rule.move_one(p, g, state)
    p.add_(factors[0] * (moved - factors[1] * p))
    for part, old in state.items():
        for kept, new in zip(old, after[part], strict=True):
            kept.copy_(new.view(kept.shape))


def _rows(part: Tensor, like: Tensor) -> list[Tensor]:
    """What lies along a part's axes but the last; what there is of every coordinate, in the shape of ``like``."""
    if part.ndim == 0 or part.shape[-1] != like.numel():
        return [part]
    return [row.view(like.shape).data for row in part.reshape(-1, like.numel())]


@cache
def _compiled() -> Callable[..., None]:
    return torch.compile(_move_in_place, dynamic=True)


def _check(rule: UpdateRule) -> None:
    try:
        state = rule.init({"p": torch.zeros(1, 2, 2)})
        fits = all(isinstance(t, Tensor) and len(t) == 1 for t in state["p"].values()) and set(state) == {"p"}
    except (TypeError, KeyError, AttributeError, IndexError):
        fits = False
    if not fits:
        raise UsageError(
            f"{type(rule).__name__} keeps no state of the form {{parameter: {{part: [tasks, ...]}}}}, so it cannot be "
            f"an optimizer; use LearnedAdam, CoordinateLSTM, FeatureMLP or HyperMLP, or torch.optim's own."
        )


def _working(p: Tensor) -> torch.dtype:
    """What is computed in, and what the state is."""
    return torch.float64 if p.dtype == torch.float64 else torch.float32


def _gradient(p: Tensor) -> Tensor:
    assert p.grad is not None
    return p.grad


def _check_gradient(p: Tensor) -> None:
    if _gradient(p).is_sparse or _gradient(p).layout != torch.strided:
        raise UsageError(
            "LearnedOptimizer takes no sparse gradients; use nn.Embedding(sparse=False), or torch.optim.SparseAdam for "
            "these parameters."
        )
    if not p.is_floating_point():
        raise UsageError(f"LearnedOptimizer moves real-valued parameters, got one of {p.dtype}.")
