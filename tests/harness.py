"""A method at its recipe's tiny size, and batches for it: what conformance runs on."""

import importlib
import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import config, distribute, registry, tracing
from keras_ssl.runs import listing
from keras_ssl.schedules import Clock, LearningRate

BATCH = 16
CLOCK = Clock(total_steps=20, steps_per_epoch=4, examples=4 * BATCH)


def methods(plugins=()):
    """Entries of all methods, or of the plugins' where there are any."""
    # Paths of files, or names of modules.
    names = [pathlib.Path(name.removesuffix(".py")).name for name in plugins]
    mine = tuple(name.split(".")[-1] for name in names)
    return [
        entry
        for entry in registry.entries("method")
        if not plugins or entry.module.split(".")[-1] in mine
    ]


def recipe(entry, gin_file=None):
    """The method's gin file: shipped, or beside a plugin's module."""
    module = pathlib.Path(importlib.import_module(entry.module).__file__)
    return gin_file or listing.recipe(entry) or str(module.with_suffix(".gin"))


def images(count, size=32, seed=0):
    """Smooth random pictures `(count, size, size, 3)` uint8."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, 5, 5, 3))
    return tf.cast(tf.image.resize(coarse, [size, size], "bicubic"), tf.uint8)


class Bench:
    """A method built from its recipe, with an optimizer, and its batches.

    Further arguments are those of `compile`.
    """

    def __init__(
        self,
        entry,
        gin_file=None,
        precision="float32",
        seed=0,
        rows=BATCH,
        optimizer=None,
        clock=CLOCK,
        **compiled,
    ):
        keras.config.set_dtype_policy(precision)
        keras.utils.set_random_seed(seed)
        config.parse([recipe(entry, gin_file), "tiny.gin"])
        self.rows = rows
        self.views = config.value("train", "views")
        self.method = config.value("train", "method")
        local = rows // distribute.replicas()
        spec = tf.nest.map_structure(
            lambda x: tf.TensorSpec([local, *x.shape[1:]], x.dtype), self.batch(0)
        )
        self.method.setup(spec, clock)
        optimizer = optimizer or config.value("train", "optimizer")
        rate = config.value("train", "learning_rate")(clock)
        self.method.compile(
            optimizer=optimizer(learning_rate=LearningRate(lambda s: rate(s + 4))),
            **compiled,
        )
        self.method.optimizer.build(self.method.trainable_variables)

    @property
    def state(self):
        """All that a checkpoint keeps: variables of method and optimizer, by name."""
        names = tracing.named_variables(self.method)
        by_id = {id(v): name for name, v in names.items()}
        return names | tracing.named_optimizer_variables(self.method.optimizer, by_id)

    def batch(self, step):
        """The global batch of a step: other pictures, views and seeds each time."""
        index = tf.range(step * self.rows, (step + 1) * self.rows, dtype=tf.int64)
        seeds = tf.stack([tf.cast(index, tf.int32), tf.fill([self.rows], 7)], axis=1)
        pixels = images(self.rows, seed=step)
        render = getattr(self.views, "render", self.views)
        return {"views": render(pixels, seeds), "seed": seeds, "index": index}

    def steps(self, count, first=0, same=False):
        """Trains on `count` batches; returns the scalars of each execution."""
        batches = [self.batch(0 if same else first + i) for i in range(count)]
        dataset = tf.data.Dataset.from_tensor_slices(
            tf.nest.map_structure(lambda *x: tf.stack(x), *batches)
        )
        strategy = self.method.distribute_strategy
        iterator = iter(strategy.experimental_distribute_dataset(dataset.repeat()))
        step = self.method.make_train_function()
        return [
            {name: float(x) for name, x in step(iterator).items()}
            for _ in range(count // self.method.steps_per_execution)
        ]


def gradients_agree(got, want, relative=1e-5):
    """Holds gradients by name against others, in shares of a tensor's largest entry."""
    dense = {
        n: np.array(tf.convert_to_tensor(g)) for n, g in want.items() if g is not None
    }
    largest = max(float(np.abs(g).max()) for g in dense.values())
    for name, mine in got.items():
        assert (mine is None) == (name not in dense), name
        if mine is None:
            continue
        bound = float(np.abs(dense[name]).max())
        # One that is 0 but for rounding, as of a bias before a norm, has no digits to
        # agree in.
        atol = relative * (largest if bound < relative * largest else bound)
        np.testing.assert_allclose(mine, dense[name], 0, atol, err_msg=name)
