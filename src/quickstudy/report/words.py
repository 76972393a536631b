"""How the page puts names, numbers and settings."""

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
