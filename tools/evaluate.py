"""Scores a run or an export on a labelled source.

Example: evaluate.py --run_dir=runs/quickstart --evaluation=knn --evaluation=linear \
    --subject=encoder --subject=raw_pixels
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
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Evaluates and prints a table."""
    from keras_ssl.core import console
    from keras_ssl.runs import evaluate, launch, score_table

    launch.load_parts(PLUGIN.value)
    rows = evaluate.evaluate(
        RUN_DIR.value,
        EVALUATION.value,
        SUBJECT.value,
        DATA.value,
        DATA_DIR.value,
        TRAIN_SPLIT.value,
        TEST_SPLIT.value,
        PROJECTOR_LAYERS.value,
        SEEDS.value,
    )
    console.show(score_table.table((row["subject"], row) for row in rows))
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
