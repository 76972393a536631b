"""What was written in an older format, in today's words: options that have another name now, by registered class.

A renamed option is one line in ``SINCE_1``. An option that did not exist yet gets today's default by itself, or what is
said in ``MEANT``, whatever the format.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quickstudy import registry
from quickstudy.core.errors import QuickstudyError, RunError
from quickstudy.core.files import reason

FORMAT = 2
"""Of what is written now: run folders, saved classifiers, pretrained learners. All formats up to it are read."""


@dataclass(frozen=True)
class Renamed:
    """An option that has another name now.

    Args:
        was: its name then.
        now: its name now (None: it is gone).
        values: what its values are called now; those that are not named here stay as they are.
    """

    was: str
    now: str | None
    values: Mapping[Any, Any] = field(default_factory=dict[Any, Any])


_KIND = Renamed("kind", "loss", {"classification": "cross_entropy", "regression": "gaussian"})
_NO_KIND = Renamed("kind", None)
_STD = Renamed("min_spread", "min_std")
_HIDDEN = Renamed("hidden", "hidden_size")
_SLOTS = Renamed("width", "slot_width")
_LAMBDA = Renamed("smoothing", "gae_lambda")
SINCE_1: Mapping[tuple[str, str], tuple[Renamed, ...]] = {
    ("learners", "cnp"): (_KIND, _STD),
    ("learners", "anp"): (_KIND, _STD),
    ("learners", "incontext"): (_KIND, _STD),
    ("learners", "hypernet"): (_NO_KIND,),  # the loss, which was there beside it, says the same
    ("learners", "solver-gan"): (_NO_KIND,),
    ("learners", "task-gan"): (Renamed("draws", "generator_type"),),
    ("learners", "imaml"): (Renamed("strength", "lam"),),
    ("learners", "r2d2"): (Renamed("ridge", "lam"),),
    ("learners", "lstm-meta"): (Renamed("hidden_units", "hidden_size"),),
    ("learners", "ntm"): (_HIDDEN, _SLOTS),
    ("learners", "mann"): (_HIDDEN, _SLOTS),
    ("learners", "maml-rl"): (_LAMBDA, Renamed("radius", "max_kl")),
    ("learners", "rl2"): (
        _LAMBDA,
        _HIDDEN,
        Renamed("value", "value_coef"),
        Renamed("entropy", "entropy_coef"),
        Renamed("trial", "episodes"),
    ),
    ("learners", "lola"): (
        Renamed("rule", "method"),
        Renamed("assumed_lr", "lookahead_lr"),
        Renamed("spread", "init_std"),
    ),
    ("learners", "meta-agent"): (_HIDDEN,),
    ("tasks", "games"): (Renamed("spread", "init_std"),),
    ("rules", "lstm-gates"): (_HIDDEN,),
    ("rules", "coordinate-lstm"): (_HIDDEN,),
    ("rules", "feature-mlp"): (_HIDDEN,),
    ("rules", "hyper-mlp"): (_HIDDEN,),
}
MEANT: Mapping[tuple[str, str], Mapping[str, Any]] = {("tasks", "folder"): {"split_by": "position"}}
"""What was done before an option was there, where today's default is something else."""
_IN_RULE_SINCE_1: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "adam-optimizer": ("learned-adam", ("lr", "betas")),
    "lstm-optimizer": ("coordinate-lstm", ("hidden", "scale", "normalize")),
    "mlp-optimizer": ("feature-mlp", ("hidden", "lr")),
    "hyper-optimizer": ("hyper-mlp", ("hidden", "bank", "lstm", "lr")),
}
"""Learners that were classes of their own: their rule, and which of their options are the rule's now."""


def upgraded_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The ``config.json`` of a run of any format, as it would be written now."""
    found: int = config["format"]
    parts = {part: upgraded(config[part], found) for part in ("learner", "tasks", "validation") if part in config}
    return {**config, **parts, "format": FORMAT}


def built(
    description: Any, found: int, where: str | Path, *, weights: Mapping[str, Tensor] | None = None, **changes: Any
) -> Any:
    """The object that a file describes, which may be anybody's: whatever else goes wrong, the file is wrong.

    Args:
        description: what ``registry.describe`` gave.
        found: the format in which it was written.
        where: the file, for the error.
        weights: what the object will be given. What says that it is larger is not built at that size.
        changes: options in place of its own.

    Raises:
        RunError: it cannot be built.
        UsageError: a change is none of its options, or it has parts that only another program can build.
        DataError: data are not at hand.
    """
    try:
        now = upgraded(description, found)
        if weights is not None and (sizes := _sizes(now, changes)) is not None:
            for name, t in weights.items():
                if sizes.get(name, t.shape) != t.shape:
                    raise RunError(
                        f"the checkpoint does not fit this learner: {where} describes {name} as {[*sizes[name]]}, but "
                        f"the weights are {[*t.shape]}."
                    )
        return registry.build(now, **changes)
    except QuickstudyError:
        raise
    except Exception as error:
        raise RunError(f"what {where} describes cannot be built: {type(error).__name__}: {reason(error)}.") from error


def _sizes(description: Any, changes: Mapping[str, Any]) -> dict[str, torch.Size] | None:
    """The shapes of a module's tensors, found without making them (None: it cannot be built without)."""
    try:
        with torch.device("meta"):
            return {name: t.shape for name, t in registry.build(description, **changes).state_dict().items()}
    except Exception:  # what is wrong with it, building it says
        return None


def upgraded(description: Any, found: int) -> Any:
    """What ``registry.describe`` gave in format ``found``, as it would give it now; parts of it are upgraded, too."""
    if isinstance(description, list):
        return [upgraded(part, found) for part in description]
    kind = next((k for k in description if k in registry.KINDS), None) if isinstance(description, dict) else None
    if kind is None:
        return description
    name: str = description[kind]
    options = {option: upgraded(value, found) for option, value in description["options"].items()}
    for change in SINCE_1.get((kind, name), ()) if found < 2 else ():
        if change.was in options:
            value = options.pop(change.was)
            if change.now is not None:
                options[change.now] = change.values.get(value, value) if isinstance(value, str | int) else value
    if kind == "learners" and name in _IN_RULE_SINCE_1 and found < 2:
        rule, its = _IN_RULE_SINCE_1[name]
        own = {option: options.pop(option) for option in its if option in options}
        options["rule"] = upgraded({"rules": rule, "options": own}, found)
    return {kind: name, "options": {**_defaults(kind, name), **MEANT.get((kind, name), {}), **options}}


def _defaults(kind: str, name: str) -> dict[str, Any]:
    if name not in registry.KINDS[kind]:  # another program's: it is asked for when it is built
        return {}
    parameters = inspect.signature(registry.load(kind, name)).parameters.values()
    return {p.name: registry.describe(p.default) for p in parameters if p.default is not inspect.Parameter.empty}
