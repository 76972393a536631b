"""How the page puts names, numbers and settings."""

from inspect import signature
from typing import Any

from quickstudy import registry
from quickstudy.registry import named as title


def about(description: Any) -> str:
    """What a registered thing of quickstudy's own is, in a sentence; empty of others.

    >>> about({"learners": "protonet"}).partition(":")[0], about({"opaque": "mine.Net"})
    ('Prototypical networks', '')
    """
    kind = next((k for k in description if k in registry.KINDS), None) if isinstance(description, dict) else None
    name = str(description[kind]) if kind else ""
    return registry.line(kind, name) if kind and name in registry.KINDS[kind].own else ""


def heading(learner: Any, tasks: Any) -> str:
    """What learned what, as a person would say it, of their descriptions.

    >>> heading({"learners": "maml"}, {"tasks": "glyphs"}), heading({"learners": "lola"}, {"tasks": "games"})
    ('MAML on drawn characters', "LOLA against itself in the iterated prisoner's dilemma")
    """
    who, where = called(learner), "in" if getattr(own_class(tasks), "kind", "") == "games" else "on"
    other = "themselves" if who.endswith("s") else "itself"
    against = f" against {other}" if getattr(own_class(learner), "self_play", False) else ""
    return f"{who}{against} {where} {called(tasks)}"


def called(description: Any) -> str:
    """What a described thing is called in titles: by its class or the line that it is registered with.

    >>> called({"learners": "protonet"}), called({"tasks": "gp"}), called({"opaque": "mine.Net"})
    ('Prototypical networks', 'draws from a Gaussian process', 'Net')
    """
    cls = own_class(description)
    if cls is None:
        return title(description)
    kind, name = registry.named_in(description)
    options: dict[str, Any] = description.get("options") or {}
    for option, by_value in getattr(cls, "titles", {}).items():
        usual = signature(cls).parameters[option].default
        if (special := by_value.get(str(options.get(option, usual)))) is not None:
            return special
    said, colon, _ = registry.line(kind, name).partition(":")
    by_line = said if kind == "learners" and colon else title(description)
    return getattr(cls, "called", None) or getattr(cls, "title", None) or by_line


def own_class(description: Any) -> type[Any] | None:
    """The class of a registered thing of quickstudy's own; None of others, whose code is not run to name them."""
    kind = next((k for k in description if k in registry.KINDS), None) if isinstance(description, dict) else None
    name = str(description[kind]) if kind else ""
    return registry.load(kind, name) if kind and name in registry.KINDS[kind].own else None


def in_words(value: Any) -> str:
    """A configuration value on one line.

    >>> in_words({"nets": "mlp", "options": {"hidden": [40, 40], "in_features": 1}})
    'MLP(hidden=[40, 40], in_features=1)'
    """
    if isinstance(value, dict):
        inner = value.get("options") if "options" in value else value
        known = title(value) if "options" in value or "opaque" in value else ""
        if "opaque" in value:
            return f"{known} (the user's own: {value['opaque']})"
        return f"{known}({', '.join(f'{k}={in_words(v)}' for k, v in (inner or {}).items())})"
    if isinstance(value, list | tuple):
        return f"[{', '.join(in_words(part) for part in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings(config: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a run was told, in tables: a caption, and names and values."""
    tables: list[tuple[str, list[tuple[str, str]]]] = []
    alone = getattr(own_class(config.get("learner")), "self_play", False)  # whatever opponents there are
    rest: list[tuple[str, str]] = []
    for name, value in config.items():
        if name in ("command", "fingerprint"):
            continue
        options = value.get("options") if isinstance(value, dict) and "options" in value else value
        if isinstance(options, dict) and options and "opaque" not in options:
            kind = title(value) if options is not value else ""
            caption = f"{name.capitalize()}: {kind}" if kind else name.capitalize()
            said = [(str(k), in_words(v)) for k, v in options.items()]
            tables.append((caption, [row for row in said if not (alone and row[0].startswith("opponent"))]))
        else:
            rest.append((name, in_words(value)))
    return [*tables, ("Other", rest)] if rest else tables


def capital(text: str) -> str:
    """With a capital letter at the beginning."""
    return text[:1].upper() + text[1:]
