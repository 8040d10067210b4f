"""Exports the encoder of a run as a SavedModel that serves features, or as a file.

Example: export.py --run_dir=runs/quickstart --out=encoder
    export.py --run_dir=runs/quickstart --out=models --serve_as=encoder
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RUN_DIR = flags.DEFINE_string("run_dir", None, "A run, or an export.", required=True)
OUT = flags.DEFINE_string("out", None, "Folder or file to make; by default in the run.")
FORMAT = flags.DEFINE_enum(
    "format", "saved_model", ["saved_model", "onnx", "litert"], "What to write."
)
SERVE_AS = flags.DEFINE_string("serve_as", None, "Its name in TensorFlow Serving.")
PROBE = flags.DEFINE_string("probe", None, "Labelled source, for the endpoint logits.")
PROBE_SPLITS = flags.DEFINE_list("probe_splits", ["train", "test"], "Its splits.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps the probe's data.")
PRECISION = flags.DEFINE_enum(
    "precision",
    None,
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "What to compute in; the run's own by default. float32 is fast everywhere.",
)
PROJECTOR_LAYERS = flags.DEFINE_integer(
    "projector_layers", 0, "How many of the projector's layers follow the encoder.", 0
)
COMPARED = flags.DEFINE_integer("compared", 32, "Images to check it on; 0: none.", 0)
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Exports, and says how to call what came out."""
    from keras_ssl.core import console
    from keras_ssl.runs import export, launch

    launch.load_parts(PLUGIN.value)
    probe = export.ProbeData.of(PROBE.value, PROBE_SPLITS.value, DATA_DIR.value)
    more = (PRECISION.value, PROJECTOR_LAYERS.value, probe, COMPARED.value)
    where = (OUT.value, FORMAT.value, SERVE_AS.value)
    for line in export.write(RUN_DIR.value, *where, *more):
        console.say(line)
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
