"""Writes the features of a folder, a data set or TFRecord files into a file.

Example: extract.py --run_dir=runs/simclr --data='folder:/data/photos' --out=features
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

RUN_DIR = flags.DEFINE_string("run_dir", None, "A run, or an export.", required=True)
OUT = flags.DEFINE_string("out", None, "Folder to make, or to go on in.", required=True)
DATA = flags.DEFINE_string("data", None, "A source; the run's own by default.")
SPLIT = flags.DEFINE_string("split", "train", "Its split.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")
FORMAT = flags.DEFINE_enum("format", "npz", ["npz", "parquet", "tfrecord"], "Of what.")
LAYER = flags.DEFINE_string("layer", None, "A layer, averaged over places; else all.")
PROJECTOR_LAYERS = flags.DEFINE_integer(
    "projector_layers", 0, "How many of the projector's layers follow the encoder.", 0
)
IMAGE_SIZE = flags.DEFINE_integer("image_size", None, "Pixels; the run's by default.")
PRECISION = flags.DEFINE_enum(
    "precision", None, ["float32", "mixed_bfloat16", "mixed_float16"], "To compute in."
)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Images encoded at a time.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Extracts, and says what was written."""
    from keras_ssl.core import console
    from keras_ssl.runs import extract, launch

    launch.load_parts(PLUGIN.value)
    names = [field.name for field in extract.dataclasses.fields(extract.Extract)]
    given = {name: flags.FLAGS[name].value for name in names}
    record = extract.extract(RUN_DIR.value, OUT.value, extract.Extract(**given))
    skipped = f"; {record['skipped']} in skipped.csv" if record["skipped"] else ""
    console.say(f"Wrote {record['written']} rows to {OUT.value}{skipped}.")
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
