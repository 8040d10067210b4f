"""Compiles every method's step with XLA and writes what came out.

A process of its own: programs that run once need not be fast, and XLA reads only once
how much it is to optimize.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Seen: two thirds of the time, and losses apart by 5e-7.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"

import tensorflow as tf

from keras_ssl.core import registry
from tests import harness
from tests.conformance import graphs


def measure(entry, gin_file):
    """Losses of a step as it is and compiled, and ops that can't be in it."""
    bench = harness.Bench(entry, gin_file)
    batch = bench.batch(0)
    plain = float(bench.method._loss(batch)["loss"])
    step = tf.function(bench.method.train_step, jit_compile=True, autograph=False)
    unfit = graphs.unfit(step.get_concrete_function(batch).graph)
    found = {"plain": plain, "unfit": unfit, "compiled": None, "error": None}
    try:
        found["compiled"] = float(step(batch)["loss"])
    except tf.errors.OpError as error:
        found["error"] = error.message
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--gin_file")
    parser.add_argument("--plugin", action="append", default=[])
    options = parser.parse_args()
    for package in ("keras_ssl", *options.plugin):
        registry.load(package)
    entries = harness.methods(options.plugin)
    found = {entry.name: measure(entry, options.gin_file) for entry in entries}
    options.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
