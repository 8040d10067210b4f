"""Evaluations as a command line configures them."""

from collections.abc import Sequence
from typing import Any

from keras_ssl.core import config, registry


def evaluations(
    names: Sequence[str], files: Sequence[str] = (), bindings: Sequence[str] = ()
) -> list[Any]:
    """Builds evaluations with their settings.

    Args:
        names: Registered names.
        files: Configurations by path or name, the later ones winning.
        bindings: Lines of gin, such as `"knn.k = 200"`, winning over the files.

    Returns:
        An evaluation for each name.

    Raises:
        ValueError: If a file or a setting is unknown, or belongs to none of these.
        KeyError: If there is no such evaluation.
    """
    for name in names:
        registry.get("evaluation", name)
    if not files and not bindings:
        return [registry.get("evaluation", name)() for name in names]
    config.parse(files, bindings)
    made = [config.build("evaluation", name) for name in names]
    config.check_used()
    return made
