"""Pretrains an encoder; without flags, the quickstart recipe into runs/quickstart.

Example: train.py --gin_file=methods/simclr.gin --gin="SimCLR.temperature = 0.2"
"""

import pathlib

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RUN_DIR = flags.DEFINE_string("run_dir", None, "runs/<recipe> by default.")
GIN_FILE = flags.DEFINE_multi_string("gin_file", [], "Recipe, by path or name.")
GIN = flags.DEFINE_multi_string("gin", [], "A binding, such as 'train.epochs = 10'.")
STRATEGIES = ["auto", "one", "mirrored", "multiworker", "tpu"]
STRATEGY = flags.DEFINE_enum("strategy", "auto", STRATEGIES, "auto: over all GPUs.")
TPU = flags.DEFINE_string("tpu", "", "Name of the TPU, for --strategy=tpu.")
CPU_DEVICES = flags.DEFINE_integer("cpu_devices", 1, "Virtual CPUs, to try replicas.")
PRECISIONS = ["auto", "float32", "mixed_bfloat16", "mixed_float16"]
PRECISION = flags.DEFINE_enum("precision", "auto", PRECISIONS, "auto: what is fast.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of weights and views.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")
DATA = flags.DEFINE_string("data", None, "Source, over the recipe's: tfds:cifar10.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")
WAIT = flags.DEFINE_float("worker_timeout", 300.0, "Seconds to wait for a worker.")
GRACE = flags.DEFINE_float("grace", 120.0, "Seconds to end in, once asked to stop.")
LIMIT = flags.DEFINE_float("max_seconds", 0.0, "Stops after these, saved; 0: never.")
INIT_FROM = flags.DEFINE_string("init_from", None, "Run or export to start from.")
EXCEPT = flags.DEFINE_multi_string("init_from_except", [], "Weights it does not take.")
PLAN = flags.DEFINE_bool("plan", False, "Starts nothing: says what the run takes.")
# The same words as the trainer's arguments.
PASSED_ON = (STRATEGY, TPU, CPU_DEVICES, PRECISION, SEED, DATA_DIR, INIT_FROM, PLAN)
PASSED_ON += (WAIT, EXCEPT, GRACE, LIMIT)


def main() -> int:
    """Trains, and says what came out."""
    from keras_ssl.runs import launch

    files = GIN_FILE.value or ["methods/simclr.gin"]
    name = pathlib.Path(files[0]).stem if GIN_FILE.value else "quickstart"
    data = [f"data = {DATA.value!r}"] if DATA.value else []
    given = {flag.name: flag.value for flag in PASSED_ON} | {"plugins": PLUGIN.value}
    return launch.train(
        RUN_DIR.value or f"runs/{name}", files, GIN.value + data, **given
    )


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
