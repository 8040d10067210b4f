"""Gin configurations as data: bindings and references, with nothing built."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from gin import config_parser


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


class _Delegate(config_parser.ParserDelegate):
    """Keeps references as data instead of building them."""

    def configurable_reference(self, scoped_name: str, evaluate: bool) -> Reference:
        scope, _, part = scoped_name.rpartition("/")
        return Reference(scope, part.split(".")[-1])

    def macro(self, macro_name: str) -> str:
        return f"%{macro_name}"


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
        stack = [binding.value]
        while stack:
            value = stack.pop()
            if isinstance(value, Reference):
                yield value
            elif isinstance(value, dict):
                stack.extend([*value, *value.values()])
            elif isinstance(value, list | tuple):
                stack.extend(value)


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
