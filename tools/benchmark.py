"""Measures speed and records it, with a page for the documentation.

Example: benchmark.py --suite=views
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

SUITE = flags.DEFINE_multi_string("suite", ["all"], "A suite, such as views, or all.")
OUT = flags.DEFINE_string("out", "docs", "Folder of performance.md and its records.")


def main() -> int:
    """Runs the suites."""
    from keras_ssl.core import console
    from keras_ssl.runs import benchmark

    console.show(benchmark.run(SUITE.value, OUT.value))
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
