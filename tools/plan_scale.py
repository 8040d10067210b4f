"""Foresees a recipe's steps on many devices, without them and without its data.

Example: plan_scale.py --gin_file=methods/simclr.gin --devices=8,32 --link_gbps=100
"""

import shlex
import sys

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

GIN_FILE = flags.DEFINE_multi_string("gin_file", [], "Recipe, by path or name.")
GIN = flags.DEFINE_multi_string("gin", [], "A binding, such as 'train.epochs = 10'.")
DEVICES = flags.DEFINE_list("devices", ["8"], "Numbers of devices, such as 32,128.")
GBPS = flags.DEFINE_float("link_gbps", 100.0, "Gigabits/s each device sends; assumed.")
LATENCY = flags.DEFINE_float("link_latency_us", 20.0, "Of each collective; assumed.")
TFLOPS = flags.DEFINE_float("device_tflops", 100.0, "Peak of a device; assumed.")
SHARE = flags.DEFINE_float("utilisation", 0.4, "Share of the peak reached; assumed.")
EXAMPLES = flags.DEFINE_integer("examples", None, "Images, where TFDS can't tell.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")
OUT = flags.DEFINE_string("out", None, "File for the figures as JSON.")
# The same words as the machine's.
ASSUMED = (GBPS, LATENCY, TFLOPS, SHARE)


def main() -> int:
    """Prints the plan and writes its record."""
    from keras_ssl.core import console
    from keras_ssl.runs import plan_scale, scale_text, scale_time

    machine = scale_time.Machine(**{flag.name: flag.value for flag in ASSUMED})
    report = plan_scale.plan(
        GIN_FILE.value or ["methods/simclr.gin"],
        GIN.value,
        DEVICES.value,
        machine,
        EXAMPLES.value,
        DATA_DIR.value,
        PLUGIN.value,
    )
    console.write(scale_text.text(report))
    if OUT.value:
        command = f"python tools/plan_scale.py {shlex.join(sys.argv[1:])}"
        plan_scale.write(OUT.value, command, report)
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
