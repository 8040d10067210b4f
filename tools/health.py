"""Records the signs of health of short runs, and shows what was recorded.

Example: health.py --recipe=methods/simsiam.gin --gin="train.epochs = 2"
"""

import pathlib

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RECIPE = flags.DEFINE_string("recipe", None, "What to train; nothing by default.")
NAME = flags.DEFINE_string("name", None, "Of the record; the recipe's by default.")
GIN = flags.DEFINE_multi_string("gin", [], "A binding, such as 'train.epochs = 2'.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")
EVERY = flags.DEFINE_integer("every", 25, "Steps between probes.", 1)
SEED = flags.DEFINE_integer("seed", 0, "Seed of weights and views.")
OUT = flags.DEFINE_string("out", "docs/health", "Folder of records.")


def main() -> int:
    """Trains if asked, and prints the table of all records."""
    from keras_ssl.core import console
    from keras_ssl.runs import health_record

    out = pathlib.Path(OUT.value)
    if RECIPE.value:
        health_record.record(
            RECIPE.value,
            out,
            NAME.value,
            GIN.value,
            PLUGIN.value,
            EVERY.value,
            SEED.value,
        )
    console.show(health_record.table(out))
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
