"""Trains methods in chunks on N virtual replicas and writes what came out.

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

STEPS = 2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicas", type=int)
    parser.add_argument("--accumulate", type=int)
    parser.add_argument("--method", action="append")
    parser.add_argument("--out")
    options = parser.parse_args()
    registry.load()
    distribute.virtual_cpus(options.replicas)
    strategy = distribute.make_strategy("mirrored" if options.replicas > 1 else "one")
    # See replicas.py: what is compared are sums, not the jumps of a ReLU's slope.
    tf.nn.relu = tf.nn.silu
    found = {}
    with strategy.scope():
        for name in options.method:
            (entry,) = (e for e in harness.methods() if e.name == name)
            bench = harness.Bench(entry, optimizer=SGD)
            local = harness.BATCH // options.replicas
            spec = tf.nest.map_structure(
                lambda x, local=local: tf.TensorSpec([local, *x.shape[1:]], x.dtype),
                bench.batch(0),
            )
            bench.method._accumulate(options.accumulate, spec)
            for i, scalars in enumerate(bench.steps(STEPS)):
                for key, value in scalars.items():
                    found[f"{name}/{key}@{i}"] = np.float64(value)
            names = tracing.named_variables(bench.method)
            values = weights_file.values(names)
            found |= {f"{name}/{key}": value for key, value in values.items()}
    np.savez(options.out, **found)


if __name__ == "__main__":
    main()
