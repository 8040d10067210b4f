"""No loss holds more than its local rows by the global batch's columns.

Read from the traced graph of each loss with its gradients, as one of several replicas
would have it: what is gathered is the local rows, several times.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import distribute
from tests.losses import graphs
from tests.losses.cases import CASES, D

LOCAL, REPLICAS = 32, 8
GLOBAL = LOCAL * REPLICAS
MATRIX = LOCAL * GLOBAL
# Losses that compare local rows with those of all replicas or a queue; all others get
# along with as much as they are given.
COMPARED = {
    "cpc_accuracy": MATRIX,
    "cpc_info_nce": MATRIX,
    "densecl": 3 * MATRIX,
    "dissimilar_pairs": MATRIX,
    "info_nce": MATRIX,
    "info_nce_accuracy": MATRIX,
    "info_nce_with_accuracy": MATRIX,
    "koleo": MATRIX,
    "moco_v3": MATRIX,
    "moco_v3_with_accuracy": MATRIX,
    "nnclr": MATRIX,
    # Rows and columns are of two views.
    "nt_xent": 4 * MATRIX,
    "nt_xent_accuracy": 4 * MATRIX,
    "nt_xent_queue": 4 * MATRIX,
    "nt_xent_with_accuracy": 4 * MATRIX,
    "ressl": MATRIX,
    # Candidates and their gradients, padded to whole chunks; never logits.
    "info_nce_streamed": (GLOBAL + 4) * D,
    "moco_v3_streamed": 2 * GLOBAL * D,
    "nt_xent_streamed": 2 * GLOBAL * D + 3 * D,
}
# All that lives at once, in sizes as above: a matrix while another is made of it, what
# stays for the gradient, and the rows and candidates beside them.
AT_ONCE = {
    "cpc_info_nce": 2.3,
    "dissimilar_pairs": 7.3,
    "info_nce": 2.2,
    "koleo": 2.3,
    "moco_v3": 3.6,
    "moco_v3_with_accuracy": 3.6,
    "nnclr": 2.3,
    "nt_xent": 2.2,
    "nt_xent_queue": 2.2,
    "nt_xent_with_accuracy": 2.2,
    "nt_xent_streamed": 4.2,
    "ressl": 3.1,
}


def enlarged(case):
    """The case with `LOCAL` rows, and queues as long as the global batch."""
    arrays = {}
    for name, x in case.arrays.items():
        axis = case.axes[name]
        if name == "related":
            x = np.eye(LOCAL, GLOBAL, dtype=bool)
        elif axis is not None:
            x = np.resize(np.moveaxis(x, axis, 0), (LOCAL, *np.delete(x.shape, axis)))
            x = np.moveaxis(x, 0, axis)
        elif name in ("negative_keys", "queue"):
            x = np.resize(x, (GLOBAL, x.shape[1]))
        arrays[name] = x
    return dataclasses.replace(case, arrays=arrays)


def gathered(x):
    """As all replicas' rows; its gradient is dense, as the real one's."""
    return tf.reshape(tf.concat([x] * REPLICAS, 0), [-1, *x.shape[1:]])


@pytest.fixture(scope="module", autouse=True)
def pretended():
    """Replicas that all hold the same rows."""
    many = pytest.MonkeyPatch()
    many.setattr(distribute, "replicas", lambda: REPLICAS)
    many.setattr(distribute, "gather", gathered)
    many.setattr(distribute, "rows", lambda x: REPLICAS * int(x.shape[0]))
    yield
    many.undo()


def traced(case):
    args = {k: tf.constant(x) for k, x in case.arrays.items()}
    return tf.function(case.measure, autograph=False).get_concrete_function(args).graph


@pytest.mark.parametrize("name", CASES)
def test_no_tensor_is_larger_than_rows_by_columns(name):
    case = enlarged(CASES[name])
    graph = traced(case)
    given = sum(np.size(x) for x in case.arrays.values())
    size, what = graphs.largest(graph)
    assert size <= COMPARED.get(name, given), what
    if name in AT_ONCE:
        assert graphs.live(graph) <= AT_ONCE[name] * COMPARED[name]


def test_a_matrix_more_or_a_larger_one_is_seen():
    def masked(x):
        logits = tf.matmul(x, tf.tile(x, [REPLICAS, 1]), transpose_b=True)
        mask = tf.one_hot(tf.range(LOCAL), GLOBAL)
        return tf.reduce_logsumexp(tf.concat([logits / 0.1 + mask, logits], axis=1))

    case = dataclasses.replace(
        CASES["koleo"], function=masked, arrays={"x": np.ones((LOCAL, D), np.float32)}
    )
    graph = traced(case)
    assert graphs.largest(graph)[0] == 2 * MATRIX
    assert graphs.live(graph) > 4 * MATRIX
