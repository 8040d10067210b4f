"""Trains every method on N virtual replicas and writes what came out.

A process of its own for each N: two strategies in one process collide.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from keras_ssl.core import distribute, registry, tracing, weights_file
from keras_ssl.optimizers import SGD
from tests import harness

STEPS = 3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicas", type=int)
    parser.add_argument("--out")
    parser.add_argument("--gin_file")
    parser.add_argument("--plugin", action="append", default=[])
    options = parser.parse_args()
    for package in ("keras_ssl", *options.plugin):
        registry.load(package)
    distribute.virtual_cpus(options.replicas)
    strategy = distribute.make_strategy("mirrored" if options.replicas > 1 else "one")
    # At 0 ReLU's slope jumps: an activation of 1e-7 that rounds to the other side
    # changes gradients by 1e-3 of their size. What is compared here are sums over
    # replicas, which a smooth activation shows to the last digits.
    tf.nn.relu = tf.nn.silu
    found = {}
    with strategy.scope():
        for entry in harness.methods(options.plugin):
            # Not the recipe's: Adam divides by the size of a gradient, so that the
            # rounding of one that is nearly 0 would show as a whole step. The
            # momentums of SGD are gradients, and are compared too.
            bench = harness.Bench(entry, options.gin_file, optimizer=SGD)
            for i, scalars in enumerate(bench.steps(STEPS)):
                for name, value in scalars.items():
                    found[f"{entry.name}/{name}@{i}"] = np.float64(value)
            names = tracing.named_variables(bench.method)
            by_id = {id(v): name for name, v in names.items()}
            names |= tracing.named_optimizer_variables(bench.method.optimizer, by_id)
            values = weights_file.values(names)
            found |= {f"{entry.name}/{k}": v for k, v in values.items()}
    np.savez(options.out, **found)


if __name__ == "__main__":
    main()
