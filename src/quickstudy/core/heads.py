"""Which layer of a network is its head, found by name; and whether it is the output layer, seen in a forward."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from quickstudy.core.errors import UsageError


@dataclass(frozen=True)
class Head:
    """The names of a head's parameters.

    Args:
        names: of the parameters.
        said: whether the user said so (else it was found, and must prove to be the output layer).
    """

    names: frozenset[str]
    said: bool

    def check(self, used: Sequence[str], matrices: frozenset[str]) -> None:
        """Raise ``UsageError`` where a forward shows that this is no head.

        Args:
            used: the names of all parameters that a forward used, in the order of their last use.
            matrices: the names of those with two axes or more; what scales or shifts may follow a head.
        """
        if not used:  # a forward that cannot be watched (a script)
            return
        own = sorted(self.names)
        advice = "name the output layer (ANIL and BOIL: head=...; any learner: an attribute `head` of the model)"
        if not self.names & set(used):
            raise UsageError(f"{', '.join(own)} was taken for the head, but a forward does not use it; {advice}.")
        end = max(place for place, name in enumerate(used) if name in self.names)
        later = [name for name in used[end + 1 :] if name in matrices]
        if later and not self.said:
            raise UsageError(
                f"{', '.join(own)} was taken for the head, but {', '.join(later)} comes after it in a forward, "
                f"so it is not the output layer; {advice}."
            )


def find_head(model: nn.Module, prefix: str | None = None) -> Head:
    """The head: ``model.head``, else the last module that has parameters itself.

    Raises:
        UsageError: no parameter's name begins with ``prefix``.
    """
    return Head(head_names(model, prefix), prefix is not None)


def head_names(model: nn.Module, prefix: str | None = None) -> frozenset[str]:
    """The names of the head's parameters: those of ``model.head``, else of the last module that has any itself.

    The body is the rest. ANIL adapts the head alone, BOIL the body alone.

    Args:
        prefix: what the names begin with, where that is said.

    Raises:
        UsageError: no parameter's name begins with ``prefix``.
    """
    if prefix is not None:
        found = frozenset(name for name, _ in model.named_parameters() if name.startswith(prefix))
        if not found:
            names = ", ".join(name for name, _ in model.named_parameters())
            raise UsageError(f"no parameter of the model begins with head={prefix!r}; it has {names}.")
        return found
    head = getattr(model, "head", None)
    if isinstance(head, nn.Module) and any(True for _ in head.parameters()):
        return frozenset(f"head.{name}" for name, _ in head.named_parameters())
    last = [name for name, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))][-1]
    return frozenset(f"{last}.{name}" if last else name for name, _ in model.get_submodule(last).named_parameters())
