"""Shows how runs differ: their settings and their scores, side by side.

Example: compare.py runs/a runs/b --format=markdown
"""

import shutil

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

FORMAT = flags.DEFINE_enum(
    "format", "text", ["text", "markdown", "csv", "json"], "How to print."
)
ALL = flags.DEFINE_bool("all", False, "Shows settings that are everywhere the same.")
PATHS: list[str] = []


def main() -> int:
    """Prints two tables."""
    from keras_ssl.core import console
    from keras_ssl.runs import compare

    found = compare.compare(PATHS, ALL.value)
    # What goes into a file or a pipe is as wide as it is.
    width = shutil.get_terminal_size((0, 0)).columns or None
    console.write(compare.written(found, FORMAT.value, width))
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main, PATHS)


if __name__ == "__main__":
    entry()
