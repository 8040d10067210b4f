import json
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import config, tracing, weights_file
from keras_ssl.encoders.keras_model import KerasEncoder
from keras_ssl.export import saved_model
from keras_ssl.memory.ema import Ema
from keras_ssl.runs import encoders
from tests import harness

MOBILE = ("keras.applications.MobileNet", {"alpha": 0.25})
BACKBONE = (
    "keras_cv.models.ResNetBackbone",
    {
        "stackwise_filters": [64, 16],
        "stackwise_blocks": [1, 1],
        "stackwise_strides": [1, 2],
        "block_type": "basic_block",
    },
)
BOTH = pytest.mark.parametrize("made_by", [MOBILE, BACKBONE], ids=["keras", "cv"])


def tiny(channels=3, pool=False, name="tiny"):
    """What a user may write: a function that makes a model."""
    x = images = keras.Input((None, None, channels))
    x = keras.layers.Conv2D(4, 3, 2, "same", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    return keras.Model(
        images, keras.layers.GlobalAveragePooling2D()(x) if pool else x, name=name
    )


def two_outputs():
    images = keras.Input((None, None, 3))
    return keras.Model(images, [images, images])


def not_a_model():
    return 3


TINY = f"{__name__}.tiny"


def images(n=2, size=32, seed=0):
    return tf.constant(
        np.random.default_rng(seed).uniform(size=(n, size, size, 3)), tf.float32
    )


@BOTH
def test_features_are_the_means_of_the_last_maps(made_by):
    encoder, x = KerasEncoder(*made_by), images()
    features = encoder(x)
    maps = encoder.maps(x)
    assert list(maps)[-1] == "last"
    assert features.shape == (2, encoder.feature_dim)
    np.testing.assert_allclose(features, tf.reduce_mean(maps["last"], [1, 2]), 1e-5)
    if made_by is BACKBONE:
        assert list(maps) == ["P2", "P3", "last"]
        assert [m.shape[1:] for m in maps.values()] == [(8, 8, 64), *2 * [(4, 4, 16)]]


@BOTH
def test_images_are_normalised_once(made_by):
    encoder = KerasEncoder(*made_by, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    x = images()
    want = encoder.inner((x - (0.1, 0.2, 0.3)) / (0.5, 1.0, 2.0))
    want = want[-1] if isinstance(want, list) else want
    np.testing.assert_allclose(encoder.maps(x)["last"], want, rtol=1e-3, atol=1e-5)
    kinds = {type(layer).__name__ for layer in encoder.inner.layers}
    assert "Rescaling" not in kinds


@BOTH
def test_config_round_trip_and_weights_by_structure(made_by):
    encoder = KerasEncoder(*made_by, mean=(0.1, 0.2, 0.3), name="mine")
    record = json.loads(json.dumps(encoder.get_config()))
    again = KerasEncoder.from_config(record)
    assert json.loads(json.dumps(again.get_config())) == record
    mine, theirs = (tracing.named_variables(e) for e in (encoder, again))
    assert list(mine) == list(theirs)
    weights_file.assign(theirs, weights_file.values(mine), "the first")
    np.testing.assert_array_equal(again(images()), encoder(images()))
    serial = json.loads(json.dumps(keras.saving.serialize_keras_object(encoder)))
    third = keras.saving.deserialize_keras_object(serial)
    assert json.loads(json.dumps(third.get_config())) == record


def test_a_model_of_yours_keeps_its_weights():
    model = tiny()
    model.set_weights([w + 0.5 for w in model.get_weights()])
    encoder, x = KerasEncoder(model, mean=(0, 0, 0), std=(1, 1, 1)), images()
    np.testing.assert_allclose(encoder.maps(x)["last"], model(x), rtol=1e-6)
    record = json.loads(json.dumps(encoder.get_config()))
    again = KerasEncoder.from_config(record)
    again.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(again(x), encoder(x))


def test_vectors_are_maps_of_one_pixel():
    encoder = KerasEncoder(TINY, {"pool": True})
    assert encoder.maps(images())["last"].shape == (2, 1, 1, 4)
    np.testing.assert_allclose(
        encoder(images()), encoder.inner(encoder.normalize(images()))
    )


@BOTH
def test_bfloat16_inside_float32_outside(made_by):
    keras.config.set_dtype_policy("mixed_bfloat16")
    encoder = KerasEncoder(*made_by)
    assert encoder(images()).dtype == tf.float32
    assert encoder.maps(images())["last"].dtype == tf.bfloat16
    assert encoder(keras.KerasTensor((None, 32, 32, 3))).dtype == "float32"
    plain = KerasEncoder.from_config({**encoder.get_config(), "dtype": "float32"})
    assert plain.maps(images())["last"].dtype == tf.float32
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("made_by", "precision"),
    [
        pytest.param(MOBILE, "float32", marks=pytest.mark.slow),
        (BACKBONE, "float32"),
        (BACKBONE, "mixed_bfloat16"),
    ],
    ids=["keras", "cv", "cv-bfloat16"],
)
def test_simclr_trains_it(made_by, precision, monkeypatch):
    name, options = made_by
    entry = next(e for e in harness.methods() if e.name == "SimCLR")
    lines = [
        "encoder = @KerasEncoder()",
        f"KerasEncoder.model = {name!r}",
        f"KerasEncoder.options = {options!r}",
    ]
    parse = config.parse
    monkeypatch.setattr(config, "parse", lambda files: parse(files, lines))
    bench = harness.Bench(entry, precision=precision)
    names = tracing.named_variables(bench.method)
    before = weights_file.values(names)
    scalars = bench.steps(1)
    assert np.isfinite(list(scalars[0].values())).all()
    assert list(tracing.named_variables(bench.method)) == list(names)
    after = weights_file.values(names)
    still = [k for k in names if np.array_equal(before[k], after[k])]
    assert [k for k in still if "seed" not in k] == []


def test_targets_follow_it():
    online = KerasEncoder(*BACKBONE)
    target = Ema([online], momentum=lambda step: 0.75)
    target(images())
    target.on_built()
    np.testing.assert_array_equal(target(images()), online(images()))
    names = tracing.named_variables(online)
    assert list(tracing.named_variables(target.copies[0])) == list(names)
    for variable in online.trainable_variables:
        variable.assign_add(tf.ones(variable.shape))
    old = target.copies[0].get_weights()
    target.after_step(lambda schedule: tf.constant(schedule(0)))
    for mine, was, variable in zip(
        target.copies[0].get_weights(), old, online.variables, strict=True
    ):
        moved = 0.25 if variable.trainable else 0.0
        np.testing.assert_allclose(mine, was + moved, rtol=1e-5, atol=1e-6)


@BOTH
def test_an_export_is_rebuilt(made_by, tmp_path):
    encoder, x = KerasEncoder(*made_by), images()
    want = encoder(x)
    meta = {
        "name": "KerasEncoder",
        "config": encoder.get_config(),
        "image_size": 32,
        "precision": "float32",
    }
    saved_model.export(encoder, tmp_path / "export", 32, meta)
    again, _ = encoders.load(tmp_path / "export")
    np.testing.assert_array_equal(again(x), want)
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serve_float"]
    np.testing.assert_allclose(served(images=x)["features"], want, 1e-4, 1e-5)


def test_downloads_are_not_repeated_by_copies():
    encoder = KerasEncoder(*MOBILE)
    encoder.options["weights"] = "imagenet"
    assert encoder.get_config()["options"]["weights"] is None


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("MobileNetV2", {}, "'MobileNetV2' is no dotted name such as"),
        ("keras.applications.MobilNetV2", {}, "Did you mean 'MobileNetV2'"),
        ("keras.aplications.MobileNetV2", {}, "keras has no 'aplications'"),
        ("no_such_package.Net", {}, "No module named 'no_such_package'"),
        ("keras.applications", {}, "is not a class or a function"),
        (MOBILE[0], {"alfa": 1.0}, "takes no option 'alfa'. Did you mean 'alpha'"),
        (TINY, {"channels": 1}, r"tiny must take images \(n, h, w, 3\).*None, 1\)"),
        (f"{__name__}.two_outputs", {}, "must give one map"),
        (f"{__name__}.not_a_model", {}, "Expected a keras.Model, got int"),
    ],
)
def test_mistakes_are_explained(model, options, words):
    with pytest.raises(ValueError, match=words):
        KerasEncoder(model, options)


REPLICAS = """
import sys
import numpy as np
import tensorflow as tf
from keras_ssl.core import distribute
from keras_ssl.encoders.keras_model import KerasEncoder

count = int(sys.argv[1])
distribute.virtual_cpus(count)
strategy = distribute.make_strategy("mirrored" if count > 1 else "one")
x = np.random.default_rng(0).uniform(size=(4, 8, 8, 3)).astype("float32")
with strategy.scope():
    encoder = KerasEncoder("tests.encoders.keras_model_test.tiny")
    kernel, gamma, beta, *_ = encoder.variables
    kernel.assign(np.random.default_rng(1).normal(size=kernel.shape))

def step(x):
    with tf.GradientTape() as tape:
        y = encoder(x, training=True)
        loss = tf.reduce_sum(y ** 2) / 4
    return distribute.total(tape.gradient(loss, kernel.value))

share = 4 // count
values = strategy.experimental_distribute_values_from_function(
    lambda c: tf.constant(
        x[c.replica_id_in_sync_group * share:(c.replica_id_in_sync_group + 1) * share]))
with strategy.scope():
    found = strategy.run(tf.function(step), args=(values,))
found = [v.numpy() for v in strategy.experimental_local_results(found)]
state = [tf.convert_to_tensor(v.value) for v in encoder.variables]
np.savez(sys.argv[2], *found[:1], *state)
"""


def test_replicas_share_statistics(tmp_path, pytestconfig):
    found = []
    for count in (1, 2):
        out = tmp_path / f"{count}.npz"
        command = [sys.executable, "-c", textwrap.dedent(REPLICAS), str(count), out]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run(command, check=True, cwd=pytestconfig.rootpath, env=env)
        found.append(np.load(out))
    one, two = found
    assert one.files == two.files
    assert len(one.files) == 6
    for name in one.files:
        np.testing.assert_allclose(two[name], one[name], 1e-4, 1e-5, err_msg=name)
