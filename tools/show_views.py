"""Draws what a recipe's views look like, as a PNG: images beside their views.

Example: show_views.py --gin_file=methods/simclr.gin --out=views.png
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

GIN_FILE = flags.DEFINE_multi_string(
    "gin_file", ["methods/simclr.gin"], "Configuration by path or name."
)
GIN = flags.DEFINE_multi_string("gin", [], "A binding.")
DATA = flags.DEFINE_string("data", None, "Source, over the recipe's.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the views.")
IMAGES = flags.DEFINE_integer("images", 6, "Number of images.", lower_bound=1)
OUT = flags.DEFINE_string("out", "views.png", "Where the picture goes.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Draws the sheet."""
    from keras_ssl.core import config, console
    from keras_ssl.runs import launch, listing

    launch.load_parts(PLUGIN.value)
    bindings = GIN.value + ([f"data = {DATA.value!r}"] if DATA.value else [])
    config.parse(GIN_FILE.value, bindings)
    listing.draw(OUT.value, DATA_DIR.value, SEED.value, IMAGES.value)
    console.say(f"Wrote {OUT.value}.")
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
