"""Takes a step of a run apart: every tensor's range, and what went bad first.

Example: replay.py --run_dir=runs/simclr --step=120
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RUN_DIR = flags.DEFINE_string("run_dir", None, "A run.", required=True)
STEP = flags.DEFINE_integer("step", None, "Step, from 1; the one that went bad.", 1)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Prints a line a tensor."""
    from keras_ssl.core import console
    from keras_ssl.runs import launch, replay

    launch.load_parts(PLUGIN.value)
    lines = replay.replay(RUN_DIR.value, STEP.value, DATA_DIR.value)
    console.write("\n".join(lines))
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
