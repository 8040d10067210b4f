"""Features from the middle of a projector: exported, called, scored; in tiny size."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import run_dir
from keras_ssl.encoders.projected import ProjectedEncoder
from keras_ssl.heads.mlp import MLP
from keras_ssl.runs import encoders, evaluate, export, launch
from tests import harness

ROOT = pathlib.Path(__file__).parents[2]
TINY = ["methods/simclr.gin", "tiny.gin"]
WIDTHS = (12, 10, 6)
WORDS = [
    f"projector/MLP.widths = {WIDTHS}",
    "projector/MLP.last_norm = True",
    "train.evaluation = None",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished tiny run with a projector of three layers."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    launch.train(str(folder), TINY, WORDS, precision="float32")
    return folder


def floats(count=5):
    return harness.images(count).numpy() / np.float32(255.0)


def by_hand(run, layers, images):
    """The encoder, then each layer as numpy, from the checkpoint's own names."""
    x = encoders.load(run)[0](images, training=False).numpy().astype(np.float64)
    path = sorted((run / run_dir.CHECKPOINTS).glob("*.npz"))[-1]
    prefix = run_dir.read_json(run / run_dir.RUN)["projector"]["prefix"]
    with np.load(path) as data:
        arrays = {k.removeprefix(prefix): v for k, v in data.items()}
    for i in range(1, layers + 1):
        x = x @ arrays[f"dense{i}/kernel"]
        x -= arrays[f"norm{i}/moving_mean"]
        x *= arrays[f"norm{i}/gamma"]
        x /= np.sqrt(arrays[f"norm{i}/moving_variance"] + 1e-5)
        if i < len(WIDTHS):
            x = np.maximum(x + arrays[f"norm{i}/beta"], 0.0)
    return x


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_features_are_those_after_so_many_layers(run, layers):
    images = floats()
    encoder, meta = encoders.load(run, projector_layers=layers)
    got = encoder(images, training=False)
    assert got.dtype == tf.float32
    assert got.shape == (5, WIDTHS[layers - 1])
    assert meta["feature_dim"] == encoder.feature_dim == WIDTHS[layers - 1]
    np.testing.assert_allclose(got, by_hand(run, layers, images), 1e-4, 1e-5)
    # Hidden layers keep their ReLU; the last has none.
    assert (np.min(got) >= 0) == (layers < len(WIDTHS))
    # The layers that were left out are not there.
    assert len(encoder.projector.dense) == layers


def test_export_is_called_scored_and_started_from(run, tmp_path):
    out = tmp_path / "export"
    words = [f"--run_dir={run}", f"--out={out}", "--projector_layers=1"]
    subprocess.run([sys.executable, ROOT / "tools" / "export.py", *words], check=True)
    pixels = harness.images(5)
    served = tf.saved_model.load(str(out)).signatures["serving_default"]
    got = served(images=pixels)["features"]
    np.testing.assert_allclose(got, by_hand(run, 1, floats()), 1e-4, 1e-5)
    again, meta = encoders.load(out)
    np.testing.assert_allclose(again(floats(), training=False), got, 1e-4, 1e-5)
    assert (meta["name"], meta["feature_dim"]) == ("ProjectedEncoder", WIDTHS[0])
    other = encoders.build(meta)
    encoders.start_from(other, str(out))
    np.testing.assert_array_equal(other(floats()), again(floats()))
    with pytest.raises(ValueError, match="is an export, which has no projector"):
        encoders.load(out, projector_layers=1)
    splits = {"train_split": "train[:64]", "test_split": "test[:64]"}
    layers = {"projector_layers": 1, **splits}
    subjects = ["encoder", "random_init", "raw_pixels"]
    mine = evaluate.evaluate(run, ["knn"], subjects, **layers)
    assert [row["subject"] for row in mine] == [
        "encoder/projector_1",
        "random_init/projector_1",
        "raw_pixels",
    ]
    (theirs,) = evaluate.evaluate(out, ["knn"], **splits)
    assert theirs["subject"] == "encoder"
    assert abs(theirs["top1"] - mine[0]["top1"]) < 0.02


def test_in_another_precision(run):
    encoder, _ = encoders.load(run, "mixed_bfloat16", projector_layers=1)
    assert encoder.projector.compute_dtype == "bfloat16"
    assert encoder.encoder.compute_dtype == "bfloat16"
    got = encoder(floats(), training=False)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, by_hand(run, 1, floats()), rtol=0.2, atol=0.1)


def changed(run, folder, projector):
    """The run with another record of its projector; `...` for none at all."""
    (folder / run_dir.CHECKPOINTS).parent.mkdir(exist_ok=True)
    (folder / run_dir.CHECKPOINTS).symlink_to(run / run_dir.CHECKPOINTS)
    record = run_dir.read_json(run / run_dir.RUN)
    record["projector"] = projector
    if projector is ...:
        del record["projector"]
    run_dir.write_json(folder / run_dir.RUN, record)
    return folder


@pytest.mark.parametrize(
    ("projector", "layers", "words"),
    [
        ({}, 4, "No 4 projector layers.*from 1 to 3, the number of widths; got 4"),
        ({}, -1, "from 1 to 3"),
        (None, 1, "SimCLR, which .* trained, has no projector whose first layers"),
        (..., 1, "made before runs recorded their projectors"),
    ],
)
def test_mistakes_are_explained(run, tmp_path, projector, layers, words):
    if projector == {}:
        projector = run_dir.read_json(run / run_dir.RUN)["projector"]
    folder = changed(run, tmp_path, projector)
    for call in (evaluate.evaluate, export.export):
        with pytest.raises(ValueError, match=words):
            call(folder, projector_layers=layers)
    assert not (folder / run_dir.EXPORT).exists()
    assert encoders.load(folder)[0].feature_dim == 16


def test_methods_without_a_projector_say_so(tmp_path):
    words = ["train.evaluation = None", "train.epochs = 1"]
    launch.train(str(tmp_path / "run"), ["methods/rotnet.gin", "tiny.gin"], words)
    with pytest.raises(ValueError, match=r"RotNet, .* has no projector"):
        export.export(tmp_path / "run", tmp_path / "out", projector_layers=1)


def test_a_projected_encoder_is_made_anew_from_its_config():
    from keras_ssl.encoders.resnet import SmallResNet

    small = SmallResNet(blocks=(1, 1), widths=(8, 16))
    whole = MLP((6, 4), name="head")
    encoder = ProjectedEncoder(small, whole.first(1), name="both")
    images = tf.constant(floats())
    want = encoder(images)
    again = ProjectedEncoder.from_config(encoder.get_config())
    assert again.get_config() == encoder.get_config()
    assert again(images).shape == want.shape == (5, 6)
    again.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(again(images), want)
    np.testing.assert_array_equal(
        encoder.maps(images)["stage2"], small.maps(images)["stage2"]
    )
