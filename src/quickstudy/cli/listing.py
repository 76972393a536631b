"""``quickstudy list``."""

from json import dumps

from quickstudy import registry


def listing(*, json: bool = False) -> None:
    """List every learner, task distribution, net and encoder, with a line each.

    Args:
        json: print as JSON.
    """
    kinds = ("learners", "tasks", "nets", "encoders")
    lines = {k: {name: registry.line(k, name) for name in registry.KINDS[k]} for k in kinds}
    if json:
        print(dumps(lines, indent=2))
        return
    for kind, names in lines.items():
        print(f"{kind}:", *(f"  {name:16}{text}" for name, text in names.items()), sep="\n")
