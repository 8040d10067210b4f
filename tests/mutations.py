"""Errors that libraries make across replicas, each of which the suite must catch."""

import contextlib
import types
from collections.abc import Callable
from typing import NamedTuple

import pytest
import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.layers import batch_norm
from keras_ssl.losses import _rows, contrastive, redundancy, transport
from keras_ssl.memory import bank, center, queue
from keras_ssl.methods import base

# What a module sees that forgets the other replicas.
ALONE = types.SimpleNamespace(
    **{
        **vars(distribute),
        "gather": lambda x: x,
        "mean": lambda x: x,
        "total": lambda x: x,
        "first_row": lambda local: tf.constant(0),
        "rows": lambda local: local.shape[0],
        "replicas": lambda: 1,
    }
)


def unsummed(x):
    """A gather that sends back only what a replica's own loss says of its rows."""

    @tf.custom_gradient
    def one_way(rows):
        first = distribute.first_row(rows)
        count = tf.shape(rows)[0]
        return distribute.gather(rows), lambda d: d[first : first + count]

    return one_way(x)


class Mutation(NamedTuple):
    """An error, and a method that shows it.

    Attributes:
        method: Name of the method.
        shows: The kind of tensor that must tell.
        modules: Those that see another `distribute`.
        seen: That other one.
    """

    method: str
    shows: str
    modules: tuple
    seen: types.SimpleNamespace = ALONE


def other(**changed: Callable) -> types.SimpleNamespace:
    return types.SimpleNamespace(**{**vars(distribute), **changed})


ALL = {
    "local negatives of NT-Xent": Mutation("SimCLR", "logged", (contrastive, _rows)),
    "local negatives of InfoNCE": Mutation("NNCLR", "logged", (_rows,)),
    "gather that does not sum gradients": Mutation(
        "SimCLR", "gradient", (contrastive,), other(gather=unsummed)
    ),
    "loss not divided by replicas": Mutation(
        "SimCLR", "gradient", (base,), other(replicas=lambda: 1)
    ),
    "batch norm of each replica": Mutation("SimCLR", "moving statistic", (batch_norm,)),
    "queue of each replica": Mutation("MoCo", "queue", (queue,)),
    "bank of each replica": Mutation("InstDisc", "bank", (bank,)),
    "center of each replica": Mutation("DINO", "center", (center,)),
    "Sinkhorn of each replica": Mutation("SwAV", "logged", (transport,)),
    "local correlation": Mutation("BarlowTwins", "logged", (redundancy, _rows)),
    # The covariances are the global batch's, but around a local mean.
    "local mean in a covariance": Mutation(
        "VICReg", "logged", (_rows,), other(mean=ALONE.mean)
    ),
    # Last: all of the above is undone.
    "none": Mutation("SimCLR", "logged", ()),
}


@contextlib.contextmanager
def applied(mutation):
    """Makes an error, if one is given, and takes it back."""
    with pytest.MonkeyPatch.context() as patch:
        for module in mutation.modules if mutation else ():
            patch.setattr(module, "distribute", mutation.seen)
        yield
