import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


def views(n=5, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(2, n, d))


def reference(z1, z2, temperature):
    """SimCLR, algorithm 1, row by row in float64."""
    z = np.concatenate([z1, z2])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    n, rows = len(z1), []
    for i in range(2 * n):
        others = [k for k in range(2 * n) if k != i]
        terms = np.exp(z[others] @ z[i] / temperature)
        positive = np.exp(z[(i + n) % (2 * n)] @ z[i] / temperature)
        rows.append(-np.log(positive / terms.sum()))
    return np.mean(rows)


def differences(z1, z2, temperature, step=1e-6):
    """Central differences of the reference."""
    both, found = np.stack([z1, z2]), np.zeros((2, *z1.shape))
    for where in np.ndindex(both.shape):
        ends = []
        for sign in (1, -1):
            moved = both.copy()
            moved[where] += sign * step
            ends.append(reference(*moved, temperature))
        found[where] = (ends[0] - ends[1]) / (2 * step)
    return found


def nt_xent(z1, z2, *arguments):
    return losses.nt_xent(tf.constant(z1), tf.constant(z2), *arguments)


def accuracy(z1, z2):
    return losses.nt_xent_accuracy(tf.constant(z1), tf.constant(z2))


def gradients(z1, z2, temperature):
    z1, z2 = tf.constant(z1, tf.float32), tf.constant(z2, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([z1, z2])
        loss = losses.nt_xent(z1, z2, temperature)
    return loss, tape.gradient(loss, [z1, z2])


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_nt_xent_is_algorithm_1(n, temperature):
    z1, z2 = views(n)
    loss, got = gradients(z1, z2, temperature)
    assert loss.shape == ()
    np.testing.assert_allclose(loss, reference(z1, z2, temperature), 1e-5, 1e-6)
    want = differences(z1, z2, temperature)
    bound = 1e-5 * max(np.abs(want).max(), 1e-2)
    np.testing.assert_allclose(np.stack(got), want, rtol=1e-4, atol=bound)


def test_it_is_symmetric_and_blind_to_length():
    z1, z2 = views()
    base = nt_xent(z1, z2, 0.2)
    np.testing.assert_allclose(nt_xent(z2, z1, 0.2), base, rtol=1e-6)
    scales = np.random.default_rng(1).uniform(0.1, 9.0, (5, 1))
    np.testing.assert_allclose(nt_xent(scales * z1, z2, 0.2), base, rtol=1e-5)
    order = [3, 1, 4, 0, 2]
    np.testing.assert_allclose(nt_xent(z1[order], z2[order], 0.2), base, 1e-6)
    assert float(nt_xent(z1[order], z2, 0.2)) != pytest.approx(float(base))


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
def test_equal_projections_cannot_be_told_apart(temperature):
    same = np.ones((6, 4))
    got = nt_xent(same, same, temperature)
    np.testing.assert_allclose(got, np.log(2 * 6 - 1), rtol=1e-5)


def test_high_temperature_is_uniform():
    np.testing.assert_allclose(nt_xent(*views(), 1e6), np.log(9), rtol=1e-5)


def test_orthogonal_images_at_low_temperature_cost_nothing():
    z = np.eye(6)
    for temperature in (0.05, 0.001):
        assert float(nt_xent(z, z, temperature)) < 1e-6
    # The excluded row itself would have been as near as the positive.
    want = np.log(1 + 10 * np.exp(-1.0))
    np.testing.assert_allclose(nt_xent(z, z, 1.0), want, rtol=1e-6)


def test_zero_vectors_give_finite_gradients():
    z1, z2 = views()
    z1[2] = z2[2] = z2[4] = 0.0
    loss, got = gradients(z1, z2, 0.1)
    assert np.isfinite(loss)
    assert np.isfinite(got).all()
    _, got = gradients(np.zeros((3, 2)), np.zeros((3, 2)), 0.1)
    assert np.isfinite(got).all()


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float64])
def test_the_loss_is_float32_whatever_comes(dtype):
    z1, z2 = (tf.cast(z, dtype) for z in views())
    keras.config.set_dtype_policy("mixed_bfloat16")
    loss = losses.nt_xent(z1, z2)
    assert loss.dtype == tf.float32
    want = reference(*(tf.cast(z, tf.float64).numpy() for z in (z1, z2)), 0.1)
    np.testing.assert_allclose(loss, want, rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(
        ValueError, match=f"temperature must be positive, got {temperature}"
    ):
        nt_xent(*views(), temperature)


@pytest.mark.parametrize("function", [losses.nt_xent, losses.nt_xent_accuracy])
def test_shapes_must_agree(function):
    words = r"z1 and z2 must have the same shape, got \(5, 4\) and \(5, 3\)"
    with pytest.raises(ValueError, match=words):
        function(tf.zeros([5, 4]), tf.zeros([5, 3]))


def test_accuracy_counts_nearest_candidates():
    z = np.eye(4)
    assert float(accuracy(z, z)) == 1.0
    # Images 0 and 1 change places in the second view: 4 of 8 rows go wrong.
    assert float(accuracy(z, z[[1, 0, 2, 3]])) == 0.5
    assert float(accuracy(z, z[[1, 2, 3, 0]])) == 0.0


def test_accuracy_agrees_with_a_loop():
    z1, z2 = views(20, 3)
    z = np.concatenate([z1, z2])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    near = z @ z.T - 9 * np.eye(40)
    want = np.mean(near.argmax(1) == (np.arange(40) + 20) % 40)
    assert 0 < want < 1
    np.testing.assert_allclose(accuracy(z1, z2), want, rtol=1e-6)


def test_an_unknown_batch_size_and_xla():
    z1, z2 = (tf.constant(z, tf.float32) for z in views())
    spec = [tf.TensorSpec([None, 4], tf.float32)] * 2
    compiled = tf.function(losses.nt_xent, input_signature=spec)
    np.testing.assert_allclose(compiled(z1, z2), nt_xent(z1, z2), rtol=1e-5)
    compiled = tf.function(losses.nt_xent, jit_compile=True)
    np.testing.assert_allclose(compiled(z1, z2), nt_xent(z1, z2), rtol=1e-5)


def test_further_negatives_join_every_row():
    z1, z2 = views(5, 4)
    keys = np.random.default_rng(3).normal(size=(7, 4))
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    z = np.concatenate([z1, z2])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    want, right = [], []
    for i, row in enumerate(z):
        positive = z[(i + 5) % 10] @ row
        others = [z[k] @ row for k in range(10) if k != i] + list(keys @ row)
        want.append(np.log(np.sum(np.exp(np.array(others) / 0.2))) - positive / 0.2)
        right.append(positive == max(others))
    np.testing.assert_allclose(nt_xent(z1, z2, 0.2, keys), np.mean(want), rtol=1e-5)
    got = losses.nt_xent_accuracy(tf.constant(z1), tf.constant(z2), keys)
    np.testing.assert_allclose(got, np.mean(right), rtol=1e-6)
    variables = [tf.Variable(x, dtype=tf.float32) for x in (z1, keys)]
    with tf.GradientTape() as tape:
        loss = losses.nt_xent(
            variables[0], tf.constant(z2, tf.float32), 0.2, variables[1]
        )
    moved, still = tape.gradient(loss, variables)
    assert np.isfinite(moved).all()
    assert still is None
    words = r"same width, got \(5, 4\) and \(7, 3\)"
    with pytest.raises(ValueError, match=words):
        nt_xent(z1, z2, 0.2, keys[:, :3])
