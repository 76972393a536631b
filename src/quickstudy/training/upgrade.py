"""What was written in an older format, in today's words: options that have another name now, by registered class.

A renamed option is one line in ``SINCE_1``. An option that did not exist yet gets today's default by itself.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quickstudy import registry

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
SINCE_1: Mapping[tuple[str, str], tuple[Renamed, ...]] = {
    ("learners", "cnp"): (_KIND,),
    ("learners", "anp"): (_KIND,),
    ("learners", "incontext"): (_KIND,),
    ("learners", "hypernet"): (_NO_KIND,),  # the loss, which was there beside it, says the same
    ("learners", "solver-gan"): (_NO_KIND,),
}
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


def upgraded(description: Any, found: int) -> Any:
    """What ``registry.describe`` gave in format ``found``, as it would give it now; parts of it are upgraded, too."""
    if found >= FORMAT:
        return description
    if isinstance(description, list):
        return [upgraded(part, found) for part in description]
    kind = next((k for k in description if k in registry.KINDS), None) if isinstance(description, dict) else None
    if kind is None:
        return description
    name: str = description[kind]
    options = {option: upgraded(value, found) for option, value in description["options"].items()}
    for change in SINCE_1.get((kind, name), ()):
        if change.was in options:
            value = options.pop(change.was)
            if change.now is not None:
                options[change.now] = change.values.get(value, value) if isinstance(value, str | int) else value
    if kind == "learners" and name in _IN_RULE_SINCE_1:
        rule, its = _IN_RULE_SINCE_1[name]
        own = {option: options.pop(option) for option in its if option in options}
        options["rule"] = upgraded({"rules": rule, "options": own}, found)
    return {kind: name, "options": {**_defaults(kind, name), **options}}


def _defaults(kind: str, name: str) -> dict[str, Any]:
    if name not in registry.KINDS[kind]:  # another program's: it is asked for when it is built
        return {}
    parameters = inspect.signature(registry.load(kind, name)).parameters.values()
    return {p.name: registry.describe(p.default) for p in parameters if p.default is not inspect.Parameter.empty}
