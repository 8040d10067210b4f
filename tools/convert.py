"""Turns a released checkpoint into an export that every other tool takes.

Example: convert.py --checkpoint=resnet50.pth --converter=torchvision_resnet \
    --gin_file=encoders/resnet50_torchvision.gin --out=encoders/resnet50
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "An .npz, .safetensors, .pth (needs torch), or a checkpoint of TensorFlow.",
    required=True,
)
CONVERTER = flags.DEFINE_string(
    "converter", None, "Whose names: torchvision_resnet and so on.", required=True
)
OUT = flags.DEFINE_string("out", None, "Folder to make.", required=True)
GIN_FILE = flags.DEFINE_multi_string(
    "gin_file", [], "Describes the encoder, as those in gin_configs/encoders."
)
GIN = flags.DEFINE_multi_string("gin", [], "A line of gin; wins over the files.")
IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Side of its images in pixels.")
PREFIX = flags.DEFINE_string("prefix", None, "What names begin with; found if None.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Converts, and says what was taken and what was left."""
    from keras_ssl.core import config, console
    from keras_ssl.runs import launch

    launch.load_parts(PLUGIN.value)
    config.parse(GIN_FILE.value, [*GIN.value, "convert.encoder = %encoder"])
    report = config.call(
        "convert",
        checkpoint=CHECKPOINT.value,
        converter=CONVERTER.value,
        out=OUT.value,
        image_size=IMAGE_SIZE.value,
        prefix=PREFIX.value,
    )
    console.say(f"{report} Wrote {OUT.value}; score it with")
    console.say(f"  keras-ssl-evaluate --run_dir={OUT.value} --data=...")
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
