"""Trains recipes as `tools/train.py` would, all of a strategy in one process.

A process for each run would import TensorFlow each time.
"""

import argparse
import functools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.runs import launch
from keras_ssl.runs import train as training


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--strategy")
    parser.add_argument("--cpu_devices", type=int)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("recipes", nargs="+")
    options = parser.parse_args()
    distribute.virtual_cpus(options.cpu_devices)
    # ReLU's slope jumps: an activation of 1e-7 that rounds to the other side changes a
    # gradient by 1e-3 of its size, and the losses of later steps more and more (seen
    # with BYOL: 6e-5 in step 4, 2.5e-3 in step 6; with a smooth activation 3e-6).
    tf.nn.relu = tf.nn.silu
    # Two of them in one process collide.
    distribute.make_strategy = functools.cache(distribute.make_strategy)
    # Nobody looks at pictures and exports here.
    launch._report = training.draw_views = lambda *args, **kwargs: None
    for recipe in options.recipes:
        launch.train(
            str(options.out / recipe),
            [f"methods/{recipe}.gin", "tiny.gin"],
            ["train.evaluation = None"],
            strategy=options.strategy,
            precision="float32",
        )


if __name__ == "__main__":
    main()
