"""A checkpoint file, converted, scored, and started from."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import config
from keras_ssl.encoders.resnet import ResNet
from keras_ssl.runs import convert, encoders, evaluate

ROOT = pathlib.Path(__file__).parents[2]
CASE = ROOT / "tests" / "golden" / "encoder_resnet_basic"
ENCODER = [
    "ResNet.depth = 18",
    "ResNet.width = 0.125",
    "ResNet.blocks = (1, 1, 1, 1)",
    "ResNet.mean = (0, 0, 0)",
    "ResNet.std = (1, 1, 1)",
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """As MoCo saves it: a prefix, a second network, counters and a head."""
    with np.load(f"{CASE}.npz") as data:
        state = {k[3:]: v for k, v in data.items() if k.startswith("sd/")}
    arrays = {f"state_dict.module.encoder_q.{k}": v for k, v in state.items()}
    arrays |= {k.replace("_q.", "_k."): -v for k, v in arrays.items()}
    arrays["state_dict.module.encoder_q.fc.weight"] = np.ones((5, 64))
    path = tmp_path_factory.mktemp("checkpoint") / "moco.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def converted(checkpoint):
    """By the command, in a process of its own."""
    out = checkpoint.parent / "export"
    words = [f"--checkpoint={checkpoint}", "--converter=torchvision_resnet"]
    words += ["--gin_file=encoders/resnet50_torchvision.gin"]
    words += [f"--gin={line}" for line in ENCODER]
    words += [f"--out={out}", "--image_size=64"]
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "convert.py", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out, done.stderr


def test_says_what_was_taken_and_what_was_left(converted):
    out, said = converted
    assert "from names under 'state_dict.module.encoder_q.'" in said
    assert "fc.weight" in said
    assert f"keras-ssl-evaluate --run_dir={out}" in said


def test_features_are_those_of_the_reference(converted):
    spec = json.loads(pathlib.Path(f"{CASE}.json").read_text())
    with np.load(f"{CASE}.npz") as data:
        images, want = data["images"], data["out_features"]
    encoder, meta = encoders.load(converted[0])
    np.testing.assert_allclose(encoder(images), want, spec["rtol"], spec["atol"])
    served = tf.saved_model.load(str(converted[0])).signatures["serve_float"]
    got = served(images=tf.constant(images))["features"]
    np.testing.assert_allclose(got, want, spec["rtol"], spec["atol"])
    assert meta["config"]["variant"] == "torchvision"
    assert meta["checkpoint"] == "moco.npz"


def test_is_scored_as_an_export(converted):
    (row,) = evaluate.evaluate(
        converted[0],
        ["knn"],
        ["encoder"],
        "embedded:32",
        None,
        "train[:64]",
        "test[:9]",
    )
    assert 0.0 <= row["top1"] <= 1.0


def test_runs_start_from_it(converted):
    kind = {"variant": "torchvision", "blocks": (1, 1, 1, 1)}
    encoder = ResNet(18, 0.125, mean=(0, 0, 0), std=(1, 1, 1), **kind)
    encoder(tf.zeros([1, 32, 32, 3]))
    encoders.start_from(encoder, str(converted[0]))
    # All names match; images would be normalised by other numbers.
    other = ResNet(18, 0.125, **kind)
    other(tf.zeros([1, 32, 32, 3]))
    with pytest.raises(ValueError, match="computes something else"):
        encoders.start_from(other, str(converted[0]))
    want, _ = encoders.load(converted[0])
    for mine, theirs in zip(encoder.get_weights(), want.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"converter": "torchvision"}, "Did you mean 'torchvision_resnet'"),
        ({"checkpoint": "absent.npz"}, "No checkpoint absent.npz"),
        ({"image_size": 0}, "image_size must be positive, got 0"),
        ({"prefix": "module."}, "names under 'module.'.*missing from it"),
        ({"encoder": ResNet}, "need ResNet.variant = 'torchvision'"),
    ],
)
def test_mistakes_are_explained_and_nothing_is_written(
    checkpoint, tmp_path, change, words
):
    arguments = {
        "checkpoint": str(checkpoint),
        "converter": "torchvision_resnet",
        "out": str(tmp_path / "out"),
        "encoder": lambda **options: ResNet(variant="torchvision", **options),
        "image_size": 32,
        **change,
    }
    made = arguments.pop("encoder")(depth=18, width=0.125, blocks=(1, 1, 1, 1))
    with pytest.raises(ValueError, match=words):
        convert.convert(**arguments, encoder=made)
    assert not (tmp_path / "out").exists()


def test_an_export_is_not_written_over(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="exists; give another --out"):
        convert.convert(
            str(checkpoint), "torchvision_resnet", str(tmp_path), encoder=ResNet()
        )


@pytest.mark.parametrize("files", [[], ["encoders/resnet50.gin"]])
def test_an_encoder_must_be_described(files):
    lines = ["convert.encoder = %encoder"]
    if files:
        config.parse(files, lines)
        assert config.value("convert", "encoder").depth == 50
    else:
        with pytest.raises(ValueError, match="encoder"):
            config.parse(files, lines)
