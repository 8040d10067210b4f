"""Scores a run or an export on a suite of data sets, such as SimCLR's twelve.

Example: transfer.py --run_dir=runs/simclr --suite=transfer --data_dir=/data/tfds \
    --given='Birdsnap=folder:/data/birdsnap?labels=folders'
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RUN_DIR = flags.DEFINE_string("run_dir", None, "A run, or an export.", required=True)
SUITE = flags.DEFINE_string("suite", "transfer", "transfer, small, or one of a plugin.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")
GIVEN = flags.DEFINE_multi_string("given", [], "NAME=SOURCE: where a data set is.")
SUBJECT = flags.DEFINE_multi_string(
    "subject", ["encoder"], "What to score: encoder, random_init or raw_pixels."
)
IMAGE_SIZE = flags.DEFINE_integer("image_size", None, "Pixels; the run's by default.")
LEAKAGE = flags.DEFINE_bool("leakage", True, "Looks for test images among those seen.")
GIN_FILE = flags.DEFINE_multi_string("gin_file", [], "Settings of the evaluation.")
GIN = flags.DEFINE_multi_string("gin", [], "Such as 'transfer.max_iterations = 500'.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Scores what is there, and lists what is not."""
    from keras_ssl.core import console
    from keras_ssl.runs import launch, settings, transfer

    launch.load_parts(PLUGIN.value)
    (evaluation,) = settings.evaluations(["transfer"], GIN_FILE.value, GIN.value)
    outcome = transfer.transfer(
        RUN_DIR.value,
        SUITE.value,
        DATA_DIR.value,
        GIVEN.value,
        SUBJECT.value,
        IMAGE_SIZE.value,
        LEAKAGE.value,
        evaluation,
    )
    if outcome.rows:
        console.show(transfer.table(outcome))
    for name, why in outcome.missing.items():
        console.say(f"{name}: {why}")
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
