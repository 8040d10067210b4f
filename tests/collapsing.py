"""Runs that collapse, and the same ones as they should be: for tests and records.

python -m tests.collapsing --out=docs/health      # trains all, broken and whole
"""

import argparse
import pathlib
import re
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
PLUGIN = str(ROOT / "tests" / "broken_methods.py")


# The size at which they collapse within a minute or so on one core.
SMALL = (
    "train.epochs = 2",
    "train.split = 'train[:6400]'",
    "SmallResNet.widths = (16, 32)",
    "SmallResNet.blocks = (1, 1)",
)
# By name: the recipe, the method whose place is taken, if any, and more lines.
BROKEN = {
    "SimSiamWithoutStop": ("simsiam", "SimSiam", ()),
    "BYOLWithoutPredictor": ("byol", "BYOL", ("target/cosine_momentum.base = 0.0",)),
    "DINOWithoutCenter": ("dino_resnet", "DINO", ()),
    "SwAVWithoutBalance": ("swav", "SwAV", ()),
    # The target is as soft as the online branch.
    "DINOWithoutSharpening": (
        "dino_resnet",
        None,
        ("teacher/linear_warmup.start = 0.1", "teacher/linear_warmup.final = 0.1"),
    ),
}
WHOLE = {f"{name}_small": (name, None, ()) for name in ("simsiam", "byol", "swav")}
WHOLE["dino_resnet_small"] = ("dino_resnet", None, ())


def recipe(name, folder):
    """Writes the recipe of a run; returns its file and the bindings beside it."""
    based, taken, lines = (BROKEN | WHOLE)[name]
    text = (ROOT / "gin_configs" / "methods" / f"{based}.gin").read_text()
    if taken:
        text = re.sub(rf"\b{taken}(?=[.(])", name, text)
    file = pathlib.Path(folder) / f"{name}.gin"
    file.write_text(text)
    return str(file), [*SMALL, *lines]


def main():
    from keras_ssl.runs import health_record

    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--runs", nargs="*", default=[*BROKEN, *WHOLE])
    options = parser.parse_args()
    for name in options.runs:
        with tempfile.TemporaryDirectory() as folder:
            file, lines = recipe(name, folder)
            plugins = [PLUGIN] if BROKEN.get(name, (0, 0))[1] else []
            health_record.record(
                file, options.out, name, lines, plugins=plugins, every=20
            )


if __name__ == "__main__":
    main()
