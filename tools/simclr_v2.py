"""SimCLRv2 as one command: pretrain, fine-tune on few labels, distil twice, export.

Example: simclr_v2.py --gin_file=methods/simclr_v2.gin --fraction=0.1 \
    --run_dir=runs/simclr_v2 --student=encoders/small_resnet.gin
"""

import pathlib

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RUN_DIR = flags.DEFINE_string("run_dir", "runs/simclr_v2", "Holds all stages.")
FILES = flags.DEFINE_multi_string("gin_file", ["methods/simclr_v2.gin"], "Pretraining.")
GIN = flags.DEFINE_multi_string("gin", [], "A binding of pretraining.")
DISTIL = flags.DEFINE_multi_string("distil", [], "A binding of both distillations.")
STUDENT = flags.DEFINE_multi_string(
    "student", [], "File or binding of the smaller encoder; none: no smaller student."
)
FRACTION = flags.DEFINE_float("fraction", 0.1, "Share of train with labels.", 0.0, 1.0)
EPOCHS = flags.DEFINE_integer("tune_epochs", 60, "Passes over these labels.", 1)
RATE = flags.DEFINE_float("tune_rate", 0.05, "Rate of fine-tuning at 256 images.")
LAYERS = flags.DEFINE_integer("projector_layers", 1, "Kept from the projector.", 0)
TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Split that is scored.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of all that is drawn.")
PRECISION = flags.DEFINE_string("precision", "auto", "As the trainer's.")
STRATEGY = flags.DEFINE_string("strategy", "auto", "As the trainer's.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")


def main() -> int:
    """Runs what is not done yet, and prints the classifiers' scores."""
    from keras_ssl.core import console
    from keras_ssl.evaluation.fine_tune import FineTune
    from keras_ssl.runs import launch, score_table
    from keras_ssl.runs.simclr_v2 import Pipeline

    launch.load_parts()
    words = (DATA_DIR, SEED, PRECISION, STRATEGY, TEST_SPLIT)
    pipeline = Pipeline(pathlib.Path(RUN_DIR.value), *(flag.value for flag in words))
    tune = FineTune(FRACTION.value, EPOCHS.value, rate=RATE.value)
    rows = pipeline.run(
        FILES.value, GIN.value, DISTIL.value, STUDENT.value, tune, LAYERS.value
    )
    console.show(score_table.table((row["stage"], row) for row in rows))
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
