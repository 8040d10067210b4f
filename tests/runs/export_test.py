"""What leaves the lab: each endpoint, file and format against the encoder."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.core import run_dir
from keras_ssl.export import formats, serving
from keras_ssl.runs import encoders, export, launch
from keras_ssl.runs.fitted_probe import ProbeData
from tests import harness
from tests.made_run import made_run

WORDS = ["train.evaluation = None", "train.epochs = 1"]
# Run without keras_ssl: by the interpreter's own path alone.
ALONE = """
import sys, numpy as np, tensorflow as tf, keras
model, out = sys.argv[1:]
loaded = tf.saved_model.load(model)
pixels = np.load(out + "/pixels.npy")
layer = keras.layers.TFSMLayer(model, call_endpoint="serving_default")
data = [tf.io.encode_png(x).numpy() for x in pixels]
raw = loaded.signatures["serve_image_bytes"](image_bytes=tf.constant(data))
assert not [name for name in sys.modules if name.startswith("keras_ssl")]
np.savez(out + "/alone.npz", layer=layer(pixels)["features"], raw=raw["features"])
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    files = ["methods/simclr.gin", "tiny.gin"]
    launch.train(str(folder), files, WORDS, precision="float32")
    return folder


@pytest.fixture(scope="module")
def served(run, tmp_path_factory):
    """A folder of served models with one version."""
    folder = tmp_path_factory.mktemp("models")
    probe = ProbeData("embedded:32", "train[:200]", "test[:50]")
    made = export.serve(run, folder, "shapes", probe=probe, compared=4)
    assert made == str(folder / "shapes" / "1")
    return folder


def test_every_endpoint_is_the_encoders(run, served):
    signatures = tf.saved_model.load(str(served / "shapes" / "1")).signatures
    pixels = harness.images(5)
    images = tf.cast(pixels, tf.float32) / 255.0
    encoder = encoders.load(run)[0]
    want = encoder(images, training=False)

    def close(got, want):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)

    close(signatures["serving_default"](images=pixels)["features"], want)
    close(signatures["serve_float"](images=images)["features"], want)
    layers = signatures["features_by_layer"](images=pixels)
    maps = encoder.maps(images, training=False)
    assert set(layers) == set(maps)
    for name, value in maps.items():
        close(layers[name], tf.reduce_mean(value, axis=[1, 2]))
    got = signatures["projection"](images=pixels)["projection"]
    close(got, encoders.projector(run)(want, training=False))
    classes = (served / "shapes" / "1" / "classes.txt").read_text().split()
    assert signatures["logits"](images=pixels)["logits"].shape == (5, len(classes))


def test_the_probe_is_the_evaluations(run, served):
    text = (served / "shapes" / "1" / "model_card.md").read_text()
    assert "SavedModel, against the Keras encoder on 4 examples of embedded:32" in text
    assert "greatest difference 0 of" in text
    assert "`logits`: `images` uint8 `(n, h, w, 3)` to `logits`" in text
    assert "Pretrained on: `embedded:32`" in text
    source = export.served.sources.open_source("embedded:32", "test[:50]")
    signature = tf.saved_model.load(str(served / "shapes" / "1")).signatures["logits"]
    logits = signature(images=source.read(tf.range(50)))["logits"]
    top1 = np.mean(np.argmax(logits, axis=1) == source.labels)
    assert f"Probe's top-1: {top1:.4f} on split `test[:50]`, 50 images" in text


@pytest.mark.slow
def test_it_needs_nothing_of_ours(run, served, tmp_path):
    model = str(served / "shapes" / "1")
    pixels = harness.images(3).numpy()
    np.save(tmp_path / "pixels.npy", pixels)
    command = [sys.executable, "-I", "-c", ALONE, model, str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    want = encoders.load(run)[0](pixels / np.float32(255), training=False)
    with np.load(tmp_path / "alone.npz") as found:
        np.testing.assert_allclose(found["layer"], want, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["raw"], want, rtol=1e-4, atol=1e-5)
    cli = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "run"]
    cli += ["--dir", model, "--tag_set", "serve", "--signature_def", "serving_default"]
    cli += ["--inputs", f"images={tmp_path / 'pixels.npy'}", "--outdir", str(tmp_path)]
    subprocess.run(cli, cwd=tmp_path, check=True, capture_output=True)
    got = np.load(tmp_path / "features.npy")
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_the_warm_up_can_be_played(served):
    model = served / "shapes" / "1"
    signatures = tf.saved_model.load(str(model)).signatures
    played = []
    for name, inputs in serving.warm_up_requests(model):
        given = {key: tf.constant(value) for key, value in inputs.items()}
        for value in signatures[name](**given).values():
            assert np.isfinite(value).all()
            played.append((name, len(value)))
    assert {name for name, _ in played} == set(signatures)
    assert {count for _, count in played} == {1, 8}


@pytest.mark.slow
def test_versions_rise_and_the_config_has_all_models(run, served):
    made = export.serve(run, served, "other")
    assert made == str(served / "other" / "1")
    made = export.serve(run, served, "other")
    assert made == str(served / "other" / "2")
    text = (served / "model.config").read_text()
    for name in ("shapes", "other"):
        assert f"name: '{name}'\n    base_path: '/models/{name}'" in text
    assert sorted(path.name for path in served.iterdir()) == [
        "SERVING.md",
        "model.config",
        "other",
        "shapes",
    ]


@pytest.mark.slow
def test_an_encoder_is_fine_tuned_by_keras_itself(run, served):
    images = harness.images(16).numpy() / np.float32(255)
    labels = np.arange(16) % 2
    for path in (run, served / "shapes" / "1"):
        encoder = keras_ssl.load_encoder(path)
        before = [w.numpy() for w in encoder.trainable_weights]
        model = keras.Sequential([encoder, keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-2), loss)
        losses = model.fit(images, labels, epochs=8, verbose=0).history["loss"]
        assert losses[-1] < 0.8 * losses[0]
        after = [w.numpy() for w in encoder.trainable_weights]
        assert all((a != b).any() for a, b in zip(before, after, strict=True))
    with pytest.raises(ValueError, match="neither a run"):
        keras_ssl.load_encoder(served)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_other_formats_compute_the_same(run, tmp_path, kind):
    out = tmp_path / f"encoder{formats.FORMATS[kind].ending}"
    assert export.export_file(run, kind, out, compared=4) == str(out)
    images = harness.images(3).numpy() / np.float32(255)
    want = encoders.load(run)[0](images, training=False)
    got = formats.load(out, kind)(images)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    card = out.with_suffix(f"{out.suffix}.md").read_text()
    assert f"{kind}, against the Keras encoder on 4 examples" in card
    with pytest.raises(ValueError, match="exists; remove it"):
        export.export_file(run, kind, out)


def test_what_cannot_be_exported(run, tmp_path):
    def refused(match, **options):
        given = {
            "out": str(tmp_path / "out"),
            "kind": "saved_model",
            "serve_as": None,
            "precision": None,
            "projector_layers": 0,
            "probe": None,
            "compared": 0,
        }
        with pytest.raises(ValueError, match=match):
            export.write(str(run), **{**given, **options})
        assert not list(tmp_path.iterdir())

    refused("a model's name|served model's name", serve_as="../up")
    refused("--serve_as needs --out", serve_as="a", out=None)
    refused("leave out --serve_as", kind="onnx", serve_as="a")
    refused("ends in .onnx, got --out=", kind="onnx")
    refused("format must be saved_model or one of onnx, litert", kind="tensorrt")
    refused("no 9 projector layers|No 9 projector", projector_layers=9)
    refused(
        "A probe|needs labels|No split|no split", probe=ProbeData("embedded:32", "no")
    )
    with pytest.raises(ValueError, match="two splits, to learn from"):
        ProbeData.of("embedded:32", ["train"], None)
    (run_dir_only := tmp_path / "empty").mkdir()
    run_dir.write_json(run_dir_only / run_dir.RUN, {"status": "running"})
    with pytest.raises(ValueError, match="has no checkpoint"):
        export.export(run_dir_only, tmp_path / "out")


def test_a_run_without_projector_or_data_at_hand(tmp_path):
    data = {"source": "folder:/no/such/folder", "split": "train"}
    run = made_run(tmp_path / "run", data=data)
    out = export.export(run, tmp_path / "out", compared=2)
    signatures = tf.saved_model.load(out).signatures
    assert "projection" not in signatures
    card = (tmp_path / "out" / "model_card.md").read_text()
    assert "on two made examples" in card
    assert "None was recorded" in card
