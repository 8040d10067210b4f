"""What made a run: versions of packages, and the commit of the code."""

import importlib.metadata
import pathlib
import subprocess

import keras_ssl

_PACKAGES = ("tensorflow", "keras", "keras-cv", "tensorflow-datasets", "gin-config")


def versions() -> dict[str, str]:
    """Versions of the packages that numbers depend on, of those that are there."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


# What a run is made of; records and tables in docs/ change with every run.
_MATTERS = ("keras_ssl", "gin_configs", "tools")


def commit() -> str | None:
    """Commit of the clone that the package is in, if it is in one.

    It ends in `-dirty` where code or recipes differ from it.
    """
    root = pathlib.Path(keras_ssl.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    found = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--", *_MATTERS)
    return f"{found}-dirty" if found and changed else found or None


def _git(root: pathlib.Path, *command: str) -> str:
    """What git answers, nothing where it cannot."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
