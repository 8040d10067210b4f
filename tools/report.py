"""Writes a page on one run or several: records, curves, scores, a map of features.

Example: report.py --run_dir=runs/simclr --run_dir=runs/mae --out=report.html \
    --data=tfds:cifar10 --images=2000
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RUN_DIR = flags.DEFINE_multi_string("run_dir", None, "A run or an export; several.")
OUT = flags.DEFINE_string("out", "report.html", "The page to make.")
PNG_DIR = flags.DEFINE_string("png_dir", None, "Its figures; beside it by default.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replaces a page that is there.")
DATA = flags.DEFINE_string("data", None, "What to show; the runs' own by default.")
SPLIT = flags.DEFINE_string("split", None, "Its split; test by default.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")
IMAGES = flags.DEFINE_integer("images", 2000, "Most images of the map.", 1)
SEED = flags.DEFINE_integer("seed", 0, "Of t-SNE.", 0)
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Writes the page, and says where it is."""
    from keras_ssl.core import console
    from keras_ssl.runs import launch, report
    from keras_ssl.runs.report_features import Asked

    launch.load_parts(PLUGIN.value)
    asked = Asked(DATA.value, SPLIT.value, DATA_DIR.value, IMAGES.value, SEED.value)
    where = (OUT.value, asked, PNG_DIR.value, OVERWRITE.value)
    figures = report.report(RUN_DIR.value or [], *where)
    console.say(f"Wrote {OUT.value}; its figures are in {figures}.")
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
