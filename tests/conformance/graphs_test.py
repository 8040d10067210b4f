"""What can't run on a TPU is found, and named, wherever in a step it stands."""

import pytest
import tensorflow as tf

from tests.conformance import graphs

GENERATOR = tf.random.Generator.from_seed(0)


def unfit(function):
    traced = tf.function(function, autograph=False)
    return graphs.unfit(traced.get_concrete_function(tf.TensorSpec([2])).graph)


def test_plain_arithmetic_is_fit():
    assert (
        unfit(lambda x: tf.nn.relu(tf.random.stateless_normal([2], [1, 2]) * x)) == []
    )


@pytest.mark.parametrize(
    ("op", "function"),
    [
        ("PyFunc", lambda x: tf.numpy_function(lambda y: y, [x], tf.float32)),
        ("EagerPyFunc", lambda x: tf.py_function(lambda y: y, [x], tf.float32)),
        ("PrintV2", lambda x: (tf.print(x), x)[1]),
        ("AsString", lambda x: tf.strings.as_string(x)),
        ("RandomStandardNormal", lambda x: x + tf.random.normal([2])),
        ("RandomUniform", lambda x: x + tf.random.uniform([2])),
        ("RandomShuffle", lambda x: tf.random.shuffle(x)),
        ("RngReadAndSkip", lambda x: x + GENERATOR.uniform([2])),
        (
            "TensorSliceDataset",
            lambda x: tf.data.Dataset.from_tensor_slices(x)._variant_tensor,
        ),
    ],
)
def test_what_is_unfit_is_named(op, function):
    assert any(words.startswith(f"{op} '") for words in unfit(function))

    def within(x):
        return tf.cond(x[0] > 0, lambda: (function(x), 1)[1], lambda: 0)

    found = [words for words in unfit(within) if words.startswith(f"{op} '")]
    assert found
    assert all("in the step itself" not in words for words in found)
