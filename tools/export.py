"""Exports the encoder of a run as a SavedModel that serves features.

Example: export.py --run_dir=runs/quickstart --out=encoder
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RUN_DIR = flags.DEFINE_string("run_dir", None, "A run.", required=True)
OUT = flags.DEFINE_string("out", None, "Folder to make; export/ of the run by default.")
PRECISION = flags.DEFINE_enum(
    "precision",
    None,
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "What to compute in; the run's own by default. float32 is fast everywhere.",
)
PROJECTOR_LAYERS = flags.DEFINE_integer(
    "projector_layers", 0, "How many of the projector's layers follow the encoder.", 0
)
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Exports, and says how to call what came out."""
    from keras_ssl.core import console
    from keras_ssl.runs import export, launch

    launch.load_parts(PLUGIN.value)
    out = export.export(
        RUN_DIR.value, OUT.value, PRECISION.value, PROJECTOR_LAYERS.value
    )
    console.say(f"Wrote {out}. Anywhere with TensorFlow:")
    console.say(f"  serve = tf.saved_model.load({out!r}).signatures['serving_default']")
    console.say("  serve(images=uint8_images)['features']")
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
