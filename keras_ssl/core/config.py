"""The only door to gin: find, parse, build, record, and say what is wrong.

`gin.tf` is not used: it needs `tf.estimator`, which TensorFlow 2.16 removed.
"""

import difflib
import importlib.util  # noqa: F401 - gin 0.5 uses it without importing it
import logging
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import gin

from keras_ssl.core import registry
from keras_ssl.core.gin_text import (
    NO_GIN,
    Binding,
    Reference,
    first_line,
    include_cycle,
    is_used,
    macro_cycle,
    read,
    references,
    seen_from,
    show,
    text_of,
)

_PACKAGE = pathlib.Path(__file__).parents[1]


def root() -> pathlib.Path:
    """Folder of the shipped configurations, in a clone or in an installed wheel."""
    for folder in (_PACKAGE / "gin_configs", _PACKAGE.parent / "gin_configs"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"No gin_configs beside or in {_PACKAGE}.")


def shipped() -> list[str]:
    """Names of the shipped configurations, such as `methods/simclr.gin`."""
    return sorted(p.relative_to(root()).as_posix() for p in root().rglob("*.gin"))


def find(name: str) -> str:
    """Path of a configuration, given by path or by its name below `gin_configs/`.

    Raises:
        ValueError: If there is no such file.
    """
    for path in (pathlib.Path(name), root() / name):
        if path.is_file():
            return str(path)
    hint = registry.did_you_mean(name, shipped())
    raise ValueError(
        f"No configuration {name!r}, neither as a path from {os.getcwd()} nor among "
        f"the shipped ones.{hint}"
    )


def parse(files: Sequence[str], bindings: Sequence[str] = ()) -> None:
    """Reads configurations, then bindings, the later ones winning.

    Args:
        files: Paths, or names below `gin_configs/`.
        bindings: Lines of gin, such as `"SimCLR.temperature = 0.2"`.

    Raises:
        ValueError: If a file, a name or a parameter is unknown, or a line is not gin.
    """
    gin.clear_config()
    if str(root()) not in _SEARCHED:
        _SEARCHED.append(str(root()))
        gin.add_config_file_search_path(_SEARCHED[-1])
    _DROPPED.clear()
    paths = [find(name) for name in files]
    for path in paths:
        _parse_one(text_of(path), path)
    for line in bindings:
        _parse_one(line, f"--gin={line!r}")
    bound = list(read(gin.config_str()))
    if cycle := macro_cycle(bound):
        way = " -> ".join(f"%{name}" for name in cycle)
        raise ValueError(f"These macros stand for each other: {way}. Give one a value.")
    # What a later line replaced may leave bindings behind that were meant for it.
    _DROPPED.difference_update(references(bound))
    try:
        gin.finalize()
    except ValueError as error:
        # gin adds the whole configuration to its message.
        raise ValueError(
            f"{str(error).splitlines()[0]} Bind it, or mend it."
        ) from error


def call(name: str, **arguments: Any) -> Any:
    """Calls the registered run `name` with its bound parameters and `arguments`."""
    return gin.get_configurable(registry.get("run", name))(**arguments)


def build(kind: str, name: str) -> Any:
    """Builds the part registered as `name`, with what is bound to it."""
    return gin.get_configurable(registry.get(kind, name))()


def value(run: str, name: str) -> Any:
    """The bound value of a run's parameter, built; None if it is not bound."""
    bound = gin.get_bindings(registry.get("run", run))
    return bound.get(name)


def texts() -> tuple[str, str]:
    """What is bound, and what has been used so far, as gin configurations."""
    return gin.config_str(), gin.operative_config_str()


def resolved() -> str:
    """What has been used so far, for reading: macros are replaced by their values."""
    macros, lines = {}, []
    for line in re.split(r"\n+(?!\s)", gin.operative_config_str()):
        name, equals, bound = line.partition(" = ")
        if not equals or line.startswith("#"):
            continue
        if "." in name:
            lines.append(line)
        else:
            macros[name] = bound.strip()

    def put_in(found: re.Match[str]) -> str:
        bound = macros.get(found[1] or "")
        return found[0] if bound is None else _MACRO.sub(put_in, bound)

    return "\n".join(_MACRO.sub(put_in, line).rstrip() for line in lines)


# A string is passed over as a whole: it may hold a percent sign.
_MACRO = re.compile(r"'[^']*'|\"[^\"]*\"|%([\w./]+)")


def differences(old: str, new: str) -> list[str]:
    """Bindings that differ between two configurations, as readable lines."""
    a, b = table(old), table(new)
    return [
        f"{key} was {a.get(key, 'not set')}, is now {b.get(key, 'not set')}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key)
    ]


def table(text: str) -> dict[str, str]:
    """The bindings of a configuration, and what is bound in words.

    Raises:
        ValueError: If it is no configuration.
    """
    try:
        return {str(b): show(b.value) for b in read(text)}
    except NO_GIN as error:
        raise ValueError(f"No configuration: {first_line(error)}") from error


def check_used() -> None:
    """Refuses bindings that nothing used: a misspelt scope, another method's part.

    Call it when every part is built. Bindings of a part that a later configuration
    replaced are forgiven, and so are those of the parts listed in `optional.parts`.

    Raises:
        ValueError: If a binding was not used.
    """
    for sentence in unused():
        raise ValueError(sentence)


def unused() -> list[str]:
    """A sentence for each binding that `check_used` would refuse."""
    used = list(read(gin.operative_config_str()))
    left = [b for b in read(gin.config_str()) if not is_used(b, used)]
    found = []
    for binding in _unforgiven(left):
        known = {str(b._replace(scope=s)) for b in used for s in seen_from(b.scope)}
        close = difflib.get_close_matches(str(binding), known, n=1, cutoff=0.6)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        found.append(
            f"Nothing uses the binding '{binding} = {show(binding.value)}'.{hint} "
            "Remove it, or bind a part that this run has."
        )
    return found


def explain(error: BaseException) -> str:
    """One clear sentence or two for an error that a user made."""
    # A KeyError shows its text in quotes.
    is_key = isinstance(error, KeyError) and bool(error.args)
    text = str(error.args[0]) if is_key else str(error)
    text = re.split(r"\n\s+(?:In call to configurable|In bindings string)", text)[0]
    missing = re.search(
        r"(\w+)(?:\.__init__)?\(\) missing \d+ .*arguments?: (.*)", text
    )
    if missing:
        part, names = missing[1], re.findall(r"'(\w+)'", missing[2])
        called = re.search(r"In call to configurable '(\w+)'", str(error))
        part = called[1] if called else part
        return (
            f"{part} needs a value for {', '.join(names)}. Bind it "
            f"({part}.{names[0]} = ...) or give a --gin_file that does."
        )
    return text


@gin.register(module="keras_ssl.core.config")
def optional(parts: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of parts and macros whose bindings may go unused.

    For files that fit many runs: `tiny/optional.parts`. A scope for each file keeps
    one from replacing another's.
    """
    return tuple(parts)


def _optional_parts() -> set[str]:
    """What all files together call optional, each in a scope of its own."""
    scopes = {b.scope for b in read(gin.config_str()) if b.part == "optional"}
    found: set[str] = set()
    for scope in scopes:
        with gin.config_scope(scope or None):
            found.update(gin.get_configurable(optional)())
    return found


_DROPPED: set[Reference] = set()
_SEARCHED: list[str] = []


def _parse_one(text: str, where: str) -> None:
    # gin logs an error for each folder of its search path that lacks an include.
    logging.disable(logging.CRITICAL)
    try:
        gin.parse_config(text)
        _DROPPED.update(references(read(text, _included)))
    except RecursionError as error:
        raise ValueError(_too_deep(where)) from error
    except NO_GIN as error:
        raise ValueError(
            f"{first_line(error)}{_suggest(str(error))} (In {where}.)"
        ) from error
    finally:
        logging.disable(logging.NOTSET)


def _included(name: str) -> str:
    return text_of(find(name))


def _too_deep(where: str) -> str:
    """Why a configuration has no end: it includes itself, or is nested too deep."""
    cycle = include_cycle(where, find) if pathlib.Path(where).is_file() else []
    if cycle:
        return f"These configurations include each other: {' -> '.join(cycle)}."
    return f"Brackets or includes are nested too deep. (In {where}.)"


def _suggest(error: str) -> str:
    """' Did you mean ...?' for the unknown part or parameter of a gin error."""
    parts = {e.name: e.target for e in registry.entries()}
    if found := re.search(
        r"Configurable '([\w./]+)' doesn't have a parameter named '(\w+)'", error
    ):
        target = parts.get(re.split(r"[./]", found[1])[-1])
        return registry.did_you_mean(found[2], registry.parameters(target or optional))
    if found := re.search(
        r"No configurable matching (?:reference )?'@?([\w./]+)", error
    ):
        return registry.did_you_mean(re.split(r"[./]", found[1])[-1], parts)
    return ""


def _unforgiven(unused: list[Binding]) -> list[Binding]:
    """Drops bindings of replaced and of optional parts, and what only those used."""
    dropped, left = set(_DROPPED), list(unused)
    forgiven = {"optional", *_optional_parts()}
    while True:
        gone = [
            b
            for b in left
            if b.part in forgiven
            or any(b.part == r.part and b.scope in seen_from(r.scope) for r in dropped)
        ]
        if not gone:
            return left
        left = [b for b in left if b not in gone]
        dropped.update(references(gone))
        macros = (b.value for b in gone if isinstance(b.value, str))
        forgiven |= {value[1:] for value in macros if value.startswith("%")}
