"""What encoders need of other packages, and what is said where they are not installed."""

import importlib
import importlib.util
from types import ModuleType

from quickstudy import registry
from quickstudy.core.errors import UsageError


def installed(encoder: str, module: str, install: str) -> ModuleType:
    """A module of another package.

    Raises:
        UsageError: it is not installed, or cannot be imported here.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # one that was built for another torch fails in many ways
        missing = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        what = "is not installed" if missing else f"cannot be imported here ({type(error).__name__}: {error})"
        raise UsageError(f"{encoder} needs the package {module}, which {what}; install it with: {install}") from error


def others() -> str:
    """Which encoders there are, and what to install for those that are not."""
    here: list[str] = []
    lacking: list[str] = []
    for name in registry.ENCODERS:
        try:
            cls = registry.load("encoders", name)
        except UsageError:  # one of others that is broken must not hide the rest
            continue
        called = f"{name}:{cls.named_by.upper()}" if cls.named_by else name
        missing = [how for module, how in cls.needs.items() if importlib.util.find_spec(module) is None]
        (lacking if missing else here).append(f"{called} ({missing[0]})" if missing else called)
    more = f" Not installed: {', '.join(sorted(lacking))}." if lacking else ""
    return f"Installed: {', '.join(sorted(here))}, or module:Class.{more}"
