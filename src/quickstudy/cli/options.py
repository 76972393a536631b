"""Command line options out of signatures: arguments become options, with the docstring as help.

So do those of constructors, which a new learner brings (``options_of``), and those of commands (``call``).
"""

import dataclasses
import inspect
import shutil
import textwrap
import types
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
import tyro
from tyro import conf

from quickstudy.core.errors import UsageError

RunFolders = Annotated[tuple[str, ...], conf.Positional, conf.arg(metavar="RUN ...", help_behavior_hint="")]
"""Any number of run folders, as the positional arguments of a command."""
Paths = Annotated[tuple[Path, ...], conf.arg(metavar="PATH ...")]
Words = Annotated[tuple[str, ...], conf.arg(metavar="NAME ...")]


@dataclasses.dataclass(frozen=True)
class Group:
    """Options that belong together: ``{name: (annotated type, default)}``, and a line about them."""

    about: str
    options: Mapping[str, tuple[Any, Any]]


_PLAIN = (bool, int, float, str, type(None))


def options_of(target: Callable[..., Any], *, leave_out: Collection[str] = ()) -> dict[str, tuple[Any, Any]]:
    """The arguments of a class or function that fit on a command line: ``{name: (annotated type, default)}``.

    What is no number, text, choice, or tuple of these is left out; of a union, those parts are kept.
    """
    function = target.__init__ if inspect.isclass(target) else target
    hints = get_type_hints(function)
    help_texts = argument_help(target)
    options: dict[str, tuple[Any, Any]] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        plain = _plain_part(hints[name]) if name in hints and name not in leave_out else None
        if plain is not None:
            annotated = Annotated[plain, conf.arg(help=help_texts.get(name, ""))]
            options[name] = (annotated, parameter.default)
    return options


def make_options(
    name: str, groups: Collection[Mapping[str, tuple[Any, Any]]], defaults: Mapping[str, Any]
) -> type[Any]:
    """One frozen dataclass of all groups' options, with some defaults replaced.

    Of several options of one name the first group's counts; an option without any default must be given.

    Raises:
        UsageError: a default for an option that there is not.
    """
    merged: dict[str, tuple[Any, Any]] = {}
    for group in groups:
        merged.update({name: option for name, option in group.items() if name not in merged})
    unknown = set(defaults) - set(merged)
    if unknown:
        raise UsageError(f"no such option: {', '.join(sorted(unknown))}.")
    return _dataclass(name, merged, defaults)


def parse_groups(
    groups: Mapping[str, Group],
    defaults: Mapping[str, Any],
    argv: list[str],
    *,
    prog: str,
    description: str,
    others: bool = False,
) -> dict[str, Any]:
    """The values of all groups' options in ``argv``, by name; help shows them group by group.

    Args:
        groups: by title. Of several options of one name the first group's counts.
        defaults: in place of the options' own.
        argv: the arguments.
        prog: how the command is called.
        description: of the command.
        others: pass over options that are not known.

    Raises:
        SystemExit: after --help, or wrong usage, with all said.
    """
    seen, fields = set[str](), list[tuple[str, Any]]()
    for title, group in groups.items():
        own = {name: option for name, option in group.options.items() if name not in seen}
        seen |= {*own}
        if own:
            cls = _dataclass(title, own, defaults)
            cls.__doc__ = group.about
            fields.append((title, cls))
    whole = dataclasses.make_dataclass("Options", fields, frozen=True, kw_only=True)
    how: dict[str, Any] = {"args": argv, "prog": prog, "description": wrapped(description)}
    how["config"] = (conf.OmitArgPrefixes,)
    found: Any = tyro.cli(whole, **how, return_unknown_args=True)[0] if others else tyro.cli(whole, **how)
    return {name: value for title, _ in fields for name, value in vars(getattr(found, title)).items()}


def _dataclass(name: str, options: Mapping[str, tuple[Any, Any]], defaults: Mapping[str, Any]) -> type[Any]:
    fields: list[Any] = []
    for option, (kind, default) in options.items():
        value = defaults.get(option, default)
        required = value is inspect.Parameter.empty
        fields.append((option, kind, dataclasses.field() if required else dataclasses.field(default=value)))
    return dataclasses.make_dataclass(name, fields, frozen=True, kw_only=True)


def argument_help(target: Callable[..., Any]) -> dict[str, str]:
    """The texts of a docstring's ``Args:`` section, by argument; what a class leaves to its bases, theirs say."""
    those = [base for base in reversed(target.__mro__) if base.__doc__] if inspect.isclass(target) else [target]
    params = [param for each in those for param in _docstring(each).params]
    return {p.arg_name: " ".join((p.description or "").replace("``", "").split()) for p in params}


def call(command: Callable[..., None], argv: list[str], *, name: str) -> None:
    """Call a command with the arguments that its signature finds in ``argv``; positional ones are marked so.

    Raises:
        SystemExit: after --help, or wrong usage, with all said.
    """
    plain = (conf.DisallowNone, conf.FlagCreatePairsOff, conf.PositionalMetavarFromFieldName)
    text = wrapped(_docstring(command).description or "")
    tyro.cli(command, args=argv, prog=f"quickstudy {name}", description=text, config=plain)


def wrapped(text: str) -> str:
    """Paragraphs in lines that fit the terminal; indented, or tyro would join them again."""
    fits = textwrap.TextWrapper(shutil.get_terminal_size().columns, subsequent_indent="  ", break_on_hyphens=False)
    return "\n\n".join(fits.fill(paragraph) for paragraph in text.split("\n\n"))


def _docstring(target: Callable[..., Any]) -> docstring_parser.Docstring:
    return docstring_parser.parse(inspect.getdoc(target) or "", docstring_parser.DocstringStyle.GOOGLE)


def _plain_part(hint: Any) -> Any | None:
    """The part of a type that a command line can express, or None."""
    origin = get_origin(hint)
    if hint in _PLAIN or origin is Literal:
        return hint
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(hint) if _plain_part(part) is not None]
        return Union[tuple(parts)] if any(part is not type(None) for part in parts) else None  # noqa: UP007
    if origin is tuple and all(part is ... or _plain_part(part) is not None for part in get_args(hint)):
        return hint
    return None
