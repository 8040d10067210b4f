import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.heads.mlp import MLP
from keras_ssl.memory import Ema, ema_update


def variables(*values):
    return [keras.Variable(np.asarray(v, np.float32)) for v in values]


@pytest.mark.parametrize("momentum", [0.75, tf.constant(0.75), np.float32(0.75)])
def test_ema_update_moves_the_target_only(momentum):
    target, online = variables([4.0, 8.0], 0.0), variables([0.0, 16.0], 4.0)
    ema_update(target, online, momentum)
    np.testing.assert_allclose(target[0].numpy(), [3.0, 10.0])
    np.testing.assert_allclose(target[1].numpy(), 1.0)
    np.testing.assert_allclose(online[0].numpy(), [0.0, 16.0])


@pytest.mark.parametrize(("momentum", "kept"), [(1.0, 0), (0.0, 1)])
def test_ema_update_at_the_ends_is_exact(momentum, kept):
    target, online = variables(0.1), variables(0.3)
    want = (target, online)[kept][0].numpy()
    ema_update(target, online, momentum)
    if kept == 0:
        assert target[0].numpy() == want
    else:
        np.testing.assert_allclose(target[0].numpy(), want, rtol=1e-6)


@pytest.mark.parametrize(
    "online",
    [
        variables([1.0, 1.0]),
        variables([1.0, 1.0], [1.0]),  # Would broadcast.
        variables([1.0, 1.0], [1.0, 1.0, 1.0]),
    ],
)
def test_ema_update_moves_all_or_nothing(online):
    target = variables([0.0, 0.0], [0.0, 0.0])
    with pytest.raises(
        ValueError, match=r"same shapes in the same order; got \[\(2,\)"
    ):
        ema_update(target, online, 0.5)
    assert not any(v.numpy().any() for v in target)


class Holder(keras.Model):
    """Owns the online layers and their slow copy, as a method does."""

    def __init__(self, momentum=lambda step: 0.5):
        super().__init__()
        self.encoder = SmallResNet((1,), (4,), name="encoder")
        self.head = MLP((3,), last_norm=True, name="head")
        self.target = Ema([self.encoder, self.head], momentum)

    def call(self, x, training=False):
        online = self.head(self.encoder(x, training=training), training=training)
        return online, self.target(x, training=training)


def images(seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.uniform(size=(6, 8, 8, 3)), tf.float32)


@pytest.fixture
def holder():
    holder = Holder()
    holder(images())
    holder.target.on_built()
    return holder


def online_variables(holder):
    return holder.encoder.trainable_variables + holder.head.trainable_variables


def numbers(values):
    return [v.numpy() for v in values]


def test_the_copy_starts_equal(holder):
    online, target = holder(images())
    np.testing.assert_array_equal(online, target)
    assert holder.target.copies[0] is not holder.encoder
    assert holder.target.copies[0].name == "encoder"


def test_only_the_online_part_trains(holder):
    trained = holder.trainable_variables
    assert {id(v) for v in trained} == {id(v) for v in online_variables(holder)}
    assert holder.target.trainable_variables == []
    # The target holds its copies' state, not the online layers' too.
    ours = {id(v) for v in holder.target.variables}
    assert not ours & {id(v) for v in holder.encoder.variables + holder.head.variables}
    assert len(ours) == len(holder.encoder.variables + holder.head.variables)


def test_no_gradient_flows_through_the_target(holder):
    x = images()
    watched = [v.value for v in holder.variables]
    with tf.GradientTape() as tape:
        tape.watch([x, *watched])
        loss = tf.reduce_sum(holder.target(x, training=True) ** 2)
    assert all(g is None for g in tape.gradient(loss, [x, *watched]))


def test_a_step_moves_weights_and_no_statistics(holder):
    for i, variable in enumerate(holder.encoder.variables + holder.head.variables):
        variable.assign(tf.random.stateless_normal(variable.shape, [i, 0]))
    before, online = numbers(holder.target.variables), numbers(online_variables(holder))
    pairs = [mine for mine, _ in holder.target.averaged.value]
    starts = numbers(pairs)
    holder.target.after_step(lambda schedule: schedule(3))
    for new, start, follow in zip(numbers(pairs), starts, online, strict=True):
        np.testing.assert_allclose(new, (start + follow) / 2, rtol=1e-5, atol=1e-6)
    moved = {id(v) for v in pairs}
    for old, variable in zip(before, holder.target.variables, strict=True):
        if id(variable) not in moved:
            np.testing.assert_array_equal(variable.numpy(), old)


def test_momentum_is_that_of_the_step():
    holder, seen = Holder(momentum="the schedule"), []
    holder(images())
    holder.target.on_built()
    before = numbers(holder.target.variables)
    for variable in holder.trainable_variables:
        variable.assign(variable + 1.0)
    holder.target.after_step(lambda schedule: seen.append(schedule) or tf.constant(1.0))
    assert seen == ["the schedule"]
    for old, new in zip(before, numbers(holder.target.variables), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_copys_norms_use_the_batch_in_training(holder):
    norm = holder.target.copies[1].norms[0]
    before = norm.moving_mean.numpy()
    z = holder.target(images(1), training=True)
    np.testing.assert_allclose(np.std(z, axis=0), np.ones(3), atol=0.05)
    assert not np.array_equal(norm.moving_mean.numpy(), before)
    # The online branch's statistics are its own.
    assert not holder.head.norms[0].moving_mean.numpy().any()
