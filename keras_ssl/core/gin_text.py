"""Gin configurations as data: bindings and references, with nothing built."""

import pathlib
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from gin import config_parser

# What comes of text that is no gin, files that are not there, modules to import.
NO_GIN = (
    ValueError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    OSError,
    ImportError,
    RecursionError,
)


class Binding(NamedTuple):
    """One parameter of a configuration; a macro has a part but no name."""

    scope: str
    part: str
    name: str
    value: Any

    def __str__(self) -> str:
        return "/".join(filter(None, [self.scope, self.part])) + (
            f".{self.name}" if self.name else ""
        )


class Reference(NamedTuple):
    """A value `@scope/Part` or `@scope/Part()`."""

    scope: str
    part: str


class Macro(str):
    """A value `%name`, which a string that looks like one is not."""


class _Delegate(config_parser.ParserDelegate):
    """Keeps references as data instead of building them."""

    def configurable_reference(self, scoped_name: str, evaluate: bool) -> Reference:
        scope, _, part = scoped_name.rpartition("/")
        return Reference(scope, part.split(".")[-1])

    def macro(self, macro_name: str) -> Macro:
        return Macro(f"%{macro_name}")


def read(text: str, include: Callable[[str], str] | None = None) -> Iterator[Binding]:
    """Yields all bindings of a configuration in order, replaced ones too.

    Args:
        text: The configuration.
        include: Maps the name of an included file to its text; includes are passed
            over if None.
    """
    for statement in config_parser.ConfigParser(text, _Delegate()):
        if isinstance(statement, config_parser.BindingStatement):
            part = statement.selector.split(".")[-1]
            yield Binding(statement.scope, part, statement.arg_name, statement.value)
        elif include and isinstance(statement, config_parser.IncludeStatement):
            yield from read(include(statement.filename), include)


def references(bindings: Iterable[Binding]) -> Iterator[Reference]:
    """Yields every reference in the bindings' values, however deep."""
    for binding in bindings:
        yield from (v for v in _leaves(binding.value) if isinstance(v, Reference))


def _leaves(value: Any) -> Iterator[Any]:
    """All that is in a value and holds nothing itself."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack.extend([*value, *value.values()])
        elif isinstance(value, list | tuple) and not isinstance(value, Reference):
            stack.extend(value)
        else:
            yield value


def macro_cycle(bindings: Iterable[Binding]) -> list[str]:
    """Names of macros that stand for each other, the first at the end again; or none.

    Args:
        bindings: All of a configuration.
    """
    stands_for = {
        str(b): [v[1:] for v in _leaves(b.value) if isinstance(v, Macro)]
        for b in bindings
        if not b.name
    }
    return _cycle(stands_for, lambda name: stands_for.get(name, []))


def include_cycle(path: str, find: Callable[[str], str]) -> list[str]:
    """Files that include each other, the first at the end again; or none.

    Args:
        path: A configuration.
        find: Maps the name of an included file to its path.
    """

    def included(name: str) -> list[str]:
        text = pathlib.Path(name).read_text(encoding="utf-8", errors="replace")
        return [find(found) for found in _INCLUDE.findall(text)]

    return _cycle([path], included)


_INCLUDE = re.compile(r"^\s*include\s*['\"](.+?)['\"]", re.MULTILINE)


def _cycle(start: Iterable[str], follow: Callable[[str], list[str]]) -> list[str]:
    """The first way found that leads back to where it was; without recursion."""
    done: set[str] = set()
    for first in start:
        way = [(first, iter(follow(first)))]
        while way:
            name = next((n for n in way[-1][1] if n not in done), None)
            on_it = [each for each, _ in way]
            if name is None:
                done.add(way.pop()[0])
            elif name in on_it:
                return [*on_it[on_it.index(name) :], name]
            else:
                way.append((name, iter(follow(name))))
    return []


def seen_from(scope: str) -> list[str]:
    """`a/b` -> `['', 'a', 'a/b']`: the scopes whose bindings a call in it sees."""
    names = scope.split("/") if scope else []
    return ["/".join(names[:i]) for i in range(len(names) + 1)]


def is_used(binding: Binding, used: Iterable[Binding]) -> bool:
    """Whether a binding is among the used ones, or in a scope that they see."""
    return any(
        (u.part, u.name) == (binding.part, binding.name)
        and binding.scope in seen_from(u.scope)
        for u in used
    )


def show(value: Any) -> str:
    """A value as it would stand in a configuration."""
    if isinstance(value, Reference):
        return f"@{'/'.join(filter(None, value))}"
    if isinstance(value, str) and value.startswith("%"):
        return value
    return repr(value)


def bound(text: str) -> dict[str, str]:
    """Each parameter that a configuration binds, with macros replaced by their values.

    Args:
        text: A configuration without includes.

    Returns:
        Values as they would stand in a configuration, by names such as
        `projector/MLP.widths`; a macro that is not bound stays.

    Raises:
        ValueError: If it is no configuration, or its macros stand for each other.
    """
    try:
        found = list(read(text))
    except NO_GIN as error:
        raise ValueError(f"No configuration: {first_line(error)}") from error
    if macro_cycle(found):
        raise ValueError("No configuration: macros stand for each other.")
    macros = {str(b): b.value for b in found if not b.name}

    def shown(value: Any) -> str:
        if isinstance(value, Macro):
            return shown(macros[value[1:]]) if value[1:] in macros else str(value)
        if isinstance(value, dict):
            return (
                f"{{{', '.join(f'{shown(k)}: {shown(v)}' for k, v in value.items())}}}"
            )
        if isinstance(value, list | tuple) and not isinstance(value, Reference):
            inside = ", ".join(map(shown, value))
            return f"[{inside}]" if isinstance(value, list) else f"({inside})"
        return show(value)

    return {str(b): shown(b.value) for b in found if b.name}


def text_of(path: str) -> str:
    """The text of a file.

    Raises:
        ValueError: If it cannot be read, or is not UTF-8.
    """
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} cannot be read as UTF-8 text: {error}.") from error


def first_line(error: BaseException) -> str:
    """An error in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]
