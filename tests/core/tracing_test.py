import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import tracing
from keras_ssl.optimizers import LARS


class Block(keras.layers.Layer):
    """Two layers in a list, a weight of its own, and one layer used twice."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [keras.layers.Dense(3), keras.layers.Dense(3)]
        self.norm = keras.layers.BatchNormalization(name="norm")

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(), name="scale", initializer="ones")

    def call(self, x, training=False):
        for part in self.parts:
            x = part(x)
        return self.norm(self.scale * x, training=training)


class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder, self.other = Block(name="encoder"), Block(name="other")
        self.again = [self.encoder]

    def call(self, x, training=False):
        return self.other(self.encoder(x, training=training), training=training)


NAMES = [
    f"{block}/{name}"
    for block in ("encoder", "other")
    for name in (
        "dense/kernel",
        "dense/bias",
        "dense_2/kernel",
        "dense_2/bias",
        "norm/gamma",
        "norm/beta",
        "norm/moving_mean",
        "norm/moving_variance",
        "scale",
    )
]


@pytest.fixture
def model():
    model = Model()
    spec = {"x": tf.TensorSpec([None, 3], tf.float32)}
    tracing.make_variables(lambda batch: model(batch["x"]), spec)
    return model


def test_one_trace_makes_all_variables(model):
    assert all(v.value is not None for v in model.variables)
    assert len({id(v) for v in model.variables}) == len(NAMES)


def test_outputs_are_symbolic_and_nested_specs_keep_their_form():
    dense, seen = keras.layers.Dense(5), []

    def function(batch):
        seen.append((batch["views"][1].shape, batch["seed"].dtype))
        return {"z": dense(batch["views"][0])}

    spec = {
        "views": (tf.TensorSpec([4, 2]), tf.TensorSpec([4, 6, 6, 3])),
        "seed": tf.TensorSpec([4, 2], tf.int32),
    }
    out = tracing.make_variables(function, spec)
    assert tuple(out["z"].shape) == (4, 5)
    assert seen[0] == ((4, 6, 6, 3), "int32")
    assert dense.kernel.shape == (2, 5)


def test_a_trace_does_not_round_its_inputs():
    keras.config.set_dtype_policy("mixed_bfloat16")
    spec = {"x": tf.TensorSpec([2, 2], tf.float32)}
    out = tracing.make_variables(lambda batch: batch["x"], spec)
    assert out.dtype == "float32"


def test_names_depend_on_the_structure_alone(model):
    assert sorted(tracing.named_variables(model)) == sorted(NAMES)
    # Other layers made before: Keras's own names go on counting.
    second = Model()
    second(tf.zeros([1, 3]))
    assert list(tracing.named_variables(second)) == list(tracing.named_variables(model))


def test_names_belong_to_their_variables(model):
    names = tracing.named_variables(model)
    assert names["encoder/dense_2/kernel"] is model.encoder.parts[1].kernel
    assert names["other/dense/bias"] is model.other.parts[0].bias
    assert names["encoder/scale"] is model.encoder.scale
    assert {id(v) for v in names.values()} == {id(v) for v in model.variables}


def test_what_two_parts_share_is_named_once():
    shared = keras.layers.Dense(2, name="shared")
    first, second = keras.Sequential([shared]), keras.Sequential([shared])
    both = keras.Sequential([first, second], name="both")
    both.build((None, 2))
    names = tracing.named_variables(both)
    assert list(names) == ["sequential/shared/kernel", "sequential/shared/bias"]


def test_prefix_of_a_part(model):
    assert tracing.prefix_of(model, model.encoder) == "encoder/"
    assert tracing.prefix_of(model, model.other.parts[1]) == "other/dense_2/"
    stranger = keras.layers.Dense(3, name="stranger")
    stranger.build((None, 3))
    with pytest.raises(ValueError, match="stranger is not a part of model"):
        tracing.prefix_of(model, stranger)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("make", [LARS, keras.optimizers.Adam])
def test_slots_are_named_by_the_weight_they_serve(model, make, wrapped):
    optimizer = make(learning_rate=0.1)
    if wrapped:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    trained = model.trainable_variables
    optimizer.build(trained)
    names = tracing.named_variables(model)
    by_id = {id(v): name for name, v in names.items()}
    found = tracing.named_optimizer_variables(optimizer, by_id)
    assert {id(v) for v in found.values()} == {id(v) for v in optimizer.variables}
    assert "optimizer/iteration" in found
    assert "optimizer/learning_rate" in found
    # A gradient of its own for each weight shows in its slot and in no other.
    gradients = [tf.fill(v.shape, i + 1.0) for i, v in enumerate(trained)]
    optimizer.apply(gradients, trained)
    slots = [name for name in found if name.count("/") > 1]
    per_weight = 1 if make is LARS else 2
    assert len(slots) == per_weight * len(trained)
    ratios = {}
    for i, variable in enumerate(trained):
        mine = [n for n in slots if n.endswith(f"/{by_id[id(variable)]}")]
        assert len(mine) == per_weight
        for name in mine:
            slot = name.split("/")[1]
            order = 2 if slot.endswith("velocities") else 1
            value = found[name].numpy() / (i + 1) ** order
            ratios.setdefault(slot, []).append(np.mean(value))
    if make is keras.optimizers.Adam:
        assert set(ratios) == {"momentums", "velocities"}
        for values in ratios.values():
            np.testing.assert_allclose(values, values[0], rtol=1e-5)
