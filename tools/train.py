"""Pretrains an encoder; without flags, the quickstart recipe into runs/quickstart.

Example: train.py --gin_file=methods/simclr.gin --gin_file=data/cifar10.gin \
    --run_dir=runs/simclr_cifar10 --gin="SimCLR.temperature = 0.2"
"""

import pathlib

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Where the run leaves everything; runs/<recipe> by default."
)
GIN_FILE = flags.DEFINE_multi_string(
    "gin_file", [], "Configuration by path or by its name below gin_configs/."
)
GIN = flags.DEFINE_multi_string("gin", [], "A binding, such as 'train.epochs = 10'.")
STRATEGY = flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "one", "mirrored", "multiworker", "tpu"],
    "How replicas share a batch; auto mirrors over several GPUs.",
)
TPU = flags.DEFINE_string("tpu", "", "Name of the TPU, for --strategy=tpu.")
CPU_DEVICES = flags.DEFINE_integer("cpu_devices", 1, "Virtual CPUs, to try replicas.")
PRECISION = flags.DEFINE_enum(
    "precision",
    "auto",
    ["auto", "float32", "mixed_bfloat16", "mixed_float16"],
    "auto takes bfloat16 where the device is fast at it.",
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of weights and views.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")
DATA = flags.DEFINE_string("data", None, "Source, over the recipe's: tfds:cifar10.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")
INIT_FROM = flags.DEFINE_string("init_from", None, "Run or export to start from.")


def main() -> int:
    """Trains, and says what came out."""
    from keras_ssl.runs import launch

    files = GIN_FILE.value or ["methods/simclr.gin"]
    name = pathlib.Path(files[0]).stem if GIN_FILE.value else "quickstart"
    return launch.train(
        run_dir=RUN_DIR.value or f"runs/{name}",
        files=files,
        bindings=GIN.value + ([f"data = {DATA.value!r}"] if DATA.value else []),
        strategy=STRATEGY.value,
        tpu=TPU.value,
        cpu_devices=CPU_DEVICES.value,
        precision=PRECISION.value,
        seed=SEED.value,
        plugins=PLUGIN.value,
        data_dir=DATA_DIR.value,
        init_from=INIT_FROM.value,
    )


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
