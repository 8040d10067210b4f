"""Scores a run or an export on a labelled source.

Example: evaluate.py --run_dir=runs/quickstart --evaluation=knn --evaluation=linear \
    --gin='knn.k = 200' --subject=encoder --subject=raw_pixels
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RUN_DIR = flags.DEFINE_string("run_dir", None, "A run, or an export.", required=True)
EVALUATION = flags.DEFINE_multi_string(
    "evaluation", ["knn", "linear"], "Registered evaluations."
)
SUBJECT = flags.DEFINE_multi_string(
    "subject", ["encoder"], "What to score: encoder, random_init or raw_pixels."
)
DATA = flags.DEFINE_string("data", None, "A labelled source; the run's own by default.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")
TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Split probes learn from.")
TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Split they are scored on.")
PROJECTOR_LAYERS = flags.DEFINE_integer(
    "projector_layers", 0, "How many of the projector's layers follow the encoder.", 0
)
SEEDS = flags.DEFINE_integer("seeds", 1, "Draws of what evaluations draw.")
IMAGE_SIZE = flags.DEFINE_integer("image_size", None, "Pixels; the run's by default.")
LEAKAGE = flags.DEFINE_bool("leakage", False, "Looks for test images among those seen.")
GIN_FILE = flags.DEFINE_multi_string("gin_file", [], "Settings of evaluations.")
GIN = flags.DEFINE_multi_string("gin", [], "One setting, such as 'knn.k = 200'.")
PROTOCOL = flags.DEFINE_bool("protocol", False, "Shows what each score depends on.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Evaluates and prints a table."""
    from keras_ssl.core import console
    from keras_ssl.runs import evaluate, launch, score_table, settings

    launch.load_parts(PLUGIN.value)
    runs = settings.evaluations(EVALUATION.value, GIN_FILE.value, GIN.value)
    data = (DATA.value, DATA_DIR.value, TRAIN_SPLIT.value, TEST_SPLIT.value)
    more = (PROJECTOR_LAYERS.value, SEEDS.value, IMAGE_SIZE.value, LEAKAGE.value)
    rows = evaluate.evaluate(RUN_DIR.value, runs, SUBJECT.value, *data, *more)
    console.show(score_table.table((row["subject"], row) for row in rows))
    if PROTOCOL.value:
        console.write(score_table.protocols(rows))
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
