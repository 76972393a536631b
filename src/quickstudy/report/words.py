"""How the page puts names, numbers and settings."""

from typing import Any

from quickstudy import registry


def title(description: Any) -> str:
    """What a registered thing is called in Python: ``{"learners": "maml", ...}`` is ``MAML``.

    >>> title({"learners": "maml", "options": {}}), title({"opaque": "mine.Net"}), title(None)
    ('MAML', 'Net', 'not recorded')
    """
    if not isinstance(description, dict):
        return "not recorded" if description is None else str(description)
    if "opaque" in description:
        return str(description["opaque"]).rpartition(".")[2]
    kind = next((k for k in description if k in registry.KINDS), None)
    if kind is None:
        return "not recorded"
    return registry.title(kind, str(description[kind]))


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
