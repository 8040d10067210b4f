"""Random numbers that depend on an example's own seed and on nothing else.

Threefry is a counter-based generator: the same seed and counter give the same bits
in any batch, on any replica and after a resume, and a whole batch is a few dozen
integer operations on one tensor. TensorFlow's stateless ops take one seed a call.

"Parallel random numbers: as easy as 1, 2, 3", SC 2011, Salmon et al.
https://doi.org/10.1145/2063384.2063405
"""

import tensorflow as tf

# Threefry-2x32: rotations of Salmon et al., table 2; parity constant of Skein.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
# Views take the streams from 0 on; what a method draws in its step begins here.
_STEP = 1 << 16
# Above all of these.
_SEEDS = 1 << 30


def threefry(
    key: tuple[tf.Tensor, tf.Tensor], counter: tuple[tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Encrypts counters with Threefry-2x32 in 20 rounds.

    Args:
        key: Two uint32 tensors, which broadcast with the counters.
        counter: Two uint32 tensors. Different counters give different bits.

    Returns:
        Two uint32 tensors of the broadcast shape: 64 random bits a counter.
    """
    parity = tf.constant(_PARITY, tf.uint32)
    keys = (*key, tf.bitwise.bitwise_xor(parity, tf.bitwise.bitwise_xor(*key)))
    x0, x1 = counter[0] + keys[0], counter[1] + keys[1]
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            x0 += x1
            x1 = tf.bitwise.bitwise_xor(x0, _rotate_left(x1, rotation))
        x0 += keys[(block + 1) % 3]
        x1 += keys[(block + 2) % 3] + tf.constant(block + 1, tf.uint32)
    return x0, x1


def uniforms(seeds: tf.Tensor, stream: int | tf.Tensor, count: int) -> tf.Tensor:
    """Draws uniform numbers for each example from the example's seed.

    Args:
        seeds: `(n, 2)` int32, one seed pair an example.
        stream: What the numbers are for, int32 >= 0. Streams of a seed are independent.
        count: Numbers an example, >= 0.

    Returns:
        `(n, count)` float32 in [0, 1), multiples of 2^-24.
    """
    bits = tf.bitcast(seeds, tf.uint32)
    counter = (stream, tf.range((count + 1) // 2))
    words = threefry(
        (bits[:, :1], bits[:, 1:]),
        tuple(tf.bitcast(tf.cast(part, tf.int32), tf.uint32) for part in counter),
    )
    # 24 bits fill a float's mantissa: no number can round up to 1.
    top = tf.bitwise.right_shift(
        tf.concat(words, axis=1), tf.constant(8, dtype=tf.uint32)
    )
    return tf.cast(tf.bitcast(top, tf.int32), tf.float32)[:, :count] * 2.0**-24


def step_uniforms(seeds: tf.Tensor, count: int, stream: int = 0) -> tf.Tensor:
    """Draws for each example what a method needs in its step, such as a mask's noise.

    The numbers are independent of those that the example's views were drawn by.

    Args:
        seeds: `(n, 2)` int32, the batch's `seed`.
        count: Numbers an example, >= 0.
        stream: Tells the draws of a method apart, >= 0.

    Returns:
        `(n, count)` float32 in [0, 1), multiples of 2^-24.
    """
    return uniforms(seeds, _STEP + stream, count)


def view_seeds(seeds: tf.Tensor, count: int) -> tf.Tensor:
    """Makes a seed for each view of an example, so that views draw apart.

    Args:
        seeds: `(n, 2)` int32, the batch's `seed`.
        count: Number of views, >= 0.

    Returns:
        `(n, count, 2)` int32.
    """
    bits = tf.bitcast(seeds, tf.uint32)
    counter = tf.bitcast(tf.range(count), tf.uint32)
    words = threefry(
        (bits[:, :1], bits[:, 1:]), (tf.constant(_SEEDS, tf.uint32), counter)
    )
    return tf.bitcast(tf.stack(words, axis=-1), tf.int32)


def _rotate_left(bits: tf.Tensor, by: int) -> tf.Tensor:
    return tf.bitwise.bitwise_or(
        tf.bitwise.left_shift(bits, tf.constant(by, tf.uint32)),
        tf.bitwise.right_shift(bits, tf.constant(32 - by, tf.uint32)),
    )
