"""One table of every named part: methods, encoders, views, evaluations, runs.

Registering does two things and nothing else: it enters a part in this table (for
listing and lookup) and makes it referable from gin as `@Name`. The part itself is
returned untouched, so that building it from plain Python never sees gin.
"""

import dataclasses
import difflib
import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import gin

KINDS = (
    "method",
    "encoder",
    "head",
    "views",
    "layer",
    "loss",
    "term",
    "dataset",
    "optimizer",
    "schedule",
    "callback",
    "evaluation",
    "run",
)

_T = TypeVar("_T", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered part.

    Attributes:
        kind: One of `KINDS`.
        name: What gin and `get` know it by.
        target: The class or function itself.
        summary: First line of its docstring.
    """

    kind: str
    name: str
    target: Callable[..., Any]
    summary: str

    @property
    def module(self) -> str:
        """Dotted name of the module that defines the part."""
        return self.target.__module__


_ENTRIES: dict[tuple[str, str], Entry] = {}


def register(kind: str, name: str | None = None) -> Callable[[_T], _T]:
    """Decorator: makes a class or function findable by name and by gin.

    Args:
        kind: One of `KINDS`.
        name: Public name; the target's own by default.

    Returns:
        A decorator that returns its argument untouched.

    Raises:
        ValueError: If the kind is unknown, the name is taken by another part, or
            the part has no docstring.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown kind {kind!r}.{did_you_mean(kind, KINDS)}")

    def decorate(target: _T) -> _T:
        key = (kind, name or target.__name__)
        taken = _ENTRIES.get(key)
        if taken is not None and taken.target is not target:
            raise ValueError(
                f"{kind} {key[1]!r} is already registered by {taken.module}; "
                f"{target.__module__} must choose another name."
            )
        # `inspect.getdoc` would inherit the base class's docstring.
        summary = (target.__doc__ or "").strip().split("\n")[0]
        if not summary or _is_generated(target):
            raise ValueError(
                f"{kind} {key[1]!r} of {target.__module__} needs a docstring: its "
                "first line is what lists and errors show."
            )
        if taken is None:
            # Parsing locks gin; a plugin may come later.
            with gin.unlock_config():
                gin.register(key[1], module=target.__module__)(target)
        _ENTRIES[key] = Entry(kind, key[1], target, summary)
        return target

    return decorate


def get(kind: str, name: str) -> Callable[..., Any]:
    """Returns the part registered as `name`.

    Raises:
        KeyError: If there is none; the message names the nearest known one.
    """
    if (kind, name) not in _ENTRIES:
        hint = did_you_mean(name, names(kind))
        raise KeyError(f"No {kind} named {name!r}.{hint}")
    return _ENTRIES[kind, name].target


def names(kind: str) -> list[str]:
    """Sorted names of one kind."""
    return [entry.name for entry in entries(kind)]


def entries(kind: str | None = None) -> list[Entry]:
    """Every entry, or every entry of one kind, sorted by kind and name."""
    if kind is not None and kind not in KINDS:
        raise ValueError(f"Unknown kind {kind!r}.{did_you_mean(kind, KINDS)}")
    return sorted(
        (e for e in _ENTRIES.values() if kind in (None, e.kind)),
        key=lambda e: (KINDS.index(e.kind), e.name),
    )


def name_of(part: Any) -> str:
    """Registered name of a part, or of what it is an instance of.

    Raises:
        KeyError: If it is not registered.
    """
    for entry in entries():
        if entry.target in (part, type(part)):
            return entry.name
    raise KeyError(
        f"{type(part).__name__} is not registered: decorate it with @register(kind)."
    )


def load(package: str = "keras_ssl") -> None:
    """Imports a package and every module in it, so that each registers its parts.

    Third parties join the same way (`--plugin=their.module`).

    Args:
        package: A package or module, found from the current folder too, or the path
            of a Python file.

    Raises:
        ValueError: If there is no such module.
    """
    folder = os.getcwd()
    if package.endswith(".py"):
        folder, file = os.path.split(os.path.abspath(package))
        package = file.removesuffix(".py")
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        root = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not package.startswith(error.name):
            raise
        raise ValueError(
            f"No module named {package!r} to load parts from (looked in {folder} too). "
            "Is it installed, or is its folder on PYTHONPATH?"
        ) from error
    for module in pkgutil.walk_packages(
        getattr(root, "__path__", []), prefix=f"{package}."
    ):
        # The binaries are the roof: nothing imports them.
        if not module.name.startswith("keras_ssl.tools"):
            importlib.import_module(module.name)


def parameters(target: Callable[..., Any]) -> list[str]:
    """Names of the arguments that a part takes."""
    return [name for name in inspect.signature(target).parameters if name != "self"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ' Did you mean ...?', or ' Known: ...' if nothing is near."""
    known = sorted(set(known))
    lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {lower[close[0]]!r}?"
    return f" Known: {', '.join(known) or 'none'}."


def _is_generated(target: Any) -> bool:
    """Whether the docstring is the one that dataclasses make up: `Name(a: int)`."""
    return dataclasses.is_dataclass(target) and (target.__doc__ or "").startswith(
        f"{getattr(target, '__name__', '')}("
    )
