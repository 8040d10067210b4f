import keras
import pytest
import tensorflow as tf

from keras_ssl.core import flops, registry
from keras_ssl.core.flops import Flops
from keras_ssl.encoders.resnet import ResNet
from tests import harness


def count(function, *shapes):
    """Operations of a function of float32 tensors."""
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    traced = tf.function(function, autograph=False).get_concrete_function(*specs)
    return flops.of_graph(traced.graph)


def with_gradient(function):
    """A function that also computes the gradients of all its arguments."""

    def both(*args):
        with tf.GradientTape() as tape:
            tape.watch(args)
            loss = tf.reduce_sum(function(*args))
        return tape.gradient(loss, args)

    return both


@pytest.mark.parametrize(
    ("function", "shapes", "products"),
    [
        (tf.matmul, [(5, 7), (7, 3)], 5 * 7 * 3),
        (lambda a, b: tf.matmul(a, b, transpose_a=True), [(7, 5), (7, 3)], 105),
        (lambda a, b: tf.matmul(a, b, transpose_b=True), [(2, 5, 7), (2, 3, 7)], 210),
        (lambda a, b: tf.einsum("bqhd,bkhd->bhqk", a, b), [(2, 5, 3, 4)] * 2, 600),
        (lambda a, b: tf.einsum("...i,ij->...j", a, b), [(2, 3, 5), (5, 7)], 210),
        (
            lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"),
            [(2, 8, 8, 3), (3, 3, 3, 5)],
            2 * 64 * 5 * 27,
        ),
        (
            lambda x, k: tf.nn.conv2d(x, k, 2, "VALID"),
            [(2, 9, 9, 3), (3, 3, 3, 5)],
            2 * 16 * 5 * 27,
        ),
        (
            lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"),
            [(2, 8, 8, 4), (3, 3, 2, 6)],
            2 * 64 * 6 * 18,
        ),
        (
            lambda x, k: tf.nn.depthwise_conv2d(x, k, [1] * 4, "SAME"),
            [(2, 8, 8, 3), (3, 3, 3, 2)],
            2 * 64 * 6 * 9,
        ),
    ],
)
def test_products(function, shapes, products):
    assert count(function, *shapes) == Flops(2 * products)
    # A gradient for each of the two factors costs as much again; TensorFlow drops
    # the forward product that nobody asks for only when it runs.
    assert count(with_gradient(function), *shapes) == Flops(6 * products)


def test_calls_conditions_and_loops():
    inner = tf.function(tf.matmul, jit_compile=True, autograph=False)
    square = (4, 4)
    assert count(lambda a: inner(inner(a, a), a), square) == Flops(4 * 64)
    larger = count(
        lambda a: tf.cond(a[0, 0] > 0, lambda: a @ a, lambda: a @ a @ a), square
    )
    assert larger == Flops(4 * 64)
    loop = count(
        lambda a: tf.while_loop(lambda x: x[0, 0] > 0, lambda x: x @ a, [a]), square
    )
    assert loop == Flops(2 * 64, loops=1)
    turns = count(
        lambda a: tf.while_loop(
            lambda x: True, lambda x: x @ a, [a], maximum_iterations=3
        ),
        square,
    )
    assert turns == Flops(3 * 2 * 64)
    assert count(tf.matmul, (None, 4), square) == Flops(unknown=1)
    assert count(tf.tanh, square) == Flops()


def test_agrees_with_tensorflows_profiler():
    model = keras.Sequential(
        [
            keras.layers.Conv2D(8, 3, padding="same"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, use_bias=False),
        ]
    )
    model.build((4, 16, 16, 3))
    step = tf.function(with_gradient(model)).get_concrete_function(
        tf.TensorSpec([4, 16, 16, 3])
    )
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    theirs = tf.compat.v1.profiler.profile(step.graph, cmd="scope", options=options)
    ours = flops.of_graph(step.graph).products
    # Theirs counts sums and biases too (and guesses at gradients of strides).
    assert ours <= theirs.total_float_ops < 1.05 * ours


def test_resnet50_is_what_the_paper_says():
    encoder = ResNet(depth=50)
    found = count(lambda x: encoder(x, training=False), (1, 224, 224, 3))
    # He et al. 2015, table 1: 3.8e9 multiply-adds with the stride in the first 1x1;
    # in the 3x3, as here and in torchvision, 4.09e9.
    assert found.products == pytest.approx(2 * 4.09e9, rel=0.01)
    assert not found.unknown


def test_a_train_step_is_three_forward_passes():
    entry = next(e for e in registry.entries("method") if e.name == "SimCLR")
    bench = harness.Bench(entry)
    batch = bench.batch(0)
    spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, batch)
    forward, step = (
        flops.of_graph(
            tf.function(f, autograph=False).get_concrete_function(spec).graph
        )
        for f in (bench.method._loss, bench.method.train_step)
    )
    assert step.unknown == forward.unknown == 0
    # The graph as traced holds the gradient of the images too, which nobody asks for.
    assert step.products == 3 * forward.products
