"""The main path: train, stop, resume, evaluate, export, call; in tiny size."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import registry, run_dir
from keras_ssl.core.registry import register
from keras_ssl.runs import encoders, evaluate, export, launch
from tests import harness

TINY = ["methods/simclr.gin", "tiny.gin"]


@register("callback", "StopAt")
class StopAt(keras.callbacks.Callback):
    """Ends training as Ctrl-C would.

    Args:
        step: Step of this sitting after which it stops.
    """

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == self.step:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished tiny run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    launch.train(str(folder), TINY, precision="float32")
    return folder


def test_leaves_what_it_says(run):
    names = {p.name for p in run.iterdir()}
    assert names == {
        run_dir.CONFIG,
        run_dir.OPERATIVE,
        run_dir.RUN,
        run_dir.METRICS,
        run_dir.EVALUATIONS,
        run_dir.CHECKPOINTS,
        run_dir.TENSORBOARD,
        run_dir.EXPORT,
        run_dir.VIEWS,
        run_dir.CURVES,
    }
    record = run_dir.read_json(run / run_dir.RUN)
    assert record["status"] == "finished"
    assert (record["resumed"], record["resumed_at"]) == (0, [])
    assert record["family"] == "instance discrimination"
    assert len(record["weights_digest"]) == 64
    steps = run_dir.read_lines(run / run_dir.METRICS)
    assert [row["step"] for row in steps] == list(range(1, 9))
    assert {
        "loss",
        "learning_rate",
        "images_per_second",
        "data_wait",
        "epoch",
        "seconds",
        "accuracy",
    } <= set(steps[0])
    rows = run_dir.read_lines(run / run_dir.EVALUATIONS)
    assert {(r["subject"], r["evaluation"], r["step"]) for r in rows} == {
        (subject, evaluation, step)
        for evaluation in ("knn", "linear")
        for subject, step in (
            ("raw_pixels", 0),
            ("random_init", 0),
            ("encoder", 4),
            ("encoder", 8),
        )
    }
    assert all(r["protocol"]["test"]["images"] == 64 for r in rows)
    for row in rows:
        if row["subject"] == "raw_pixels":
            assert row["health"] == {}
        else:
            assert 1.0 <= row["health"]["rankme"] <= 64.0
            assert 0.0 < row["health"]["feature_std"] < 1.5
    events = list((run / run_dir.TENSORBOARD).glob("events*"))
    tags = {
        v.tag
        for e in tf.compat.v1.train.summary_iterator(str(events[0]))
        for v in e.summary.value
    }
    scores = {
        f"{evaluation}/{subject}"
        for evaluation in ("knn", "linear")
        for subject in ("encoder", "random_init", "raw_pixels")
    }
    assert tags == scores | {
        "_hparams_/experiment",
        "_hparams_/session_end_info",
        "_hparams_/session_start_info",
        "features/test_rank",
        "features/test_std",
        "objective/accuracy",
        "objective/loss",
        "optimizer/learning_rate",
        "optimizer/weight_decay",
        "retrievals",
        "spectrum",
        "spectrum/largest",
        "spectrum/rank",
        "spectrum/std",
        "speed/data_wait",
        "speed/images_per_second",
        "views",
    }


def test_operative_config_repeats_the_run(run, tmp_path):
    config = str(run / run_dir.OPERATIVE)
    launch.train(str(tmp_path / "again"), [config], precision="float32")
    again = run_dir.read_json(tmp_path / "again" / run_dir.RUN)
    old = run_dir.read_json(run / run_dir.RUN)
    assert again["weights_digest"] == old["weights_digest"]


def test_several_steps_an_execution_give_the_same(run, tmp_path):
    words = ["train.evaluation = None", "train.steps_per_execution = 2"]
    launch.train(str(tmp_path / "two"), TINY, words, precision="float32")
    record = run_dir.read_json(tmp_path / "two" / run_dir.RUN)
    digest = run_dir.read_json(run / run_dir.RUN)["weights_digest"]
    assert record["weights_digest"] == digest
    rows = run_dir.read_lines(tmp_path / "two" / run_dir.METRICS)
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    assert "data_wait" not in rows[0]


def test_other_seed_is_another_run(run, tmp_path):
    other = ["train.evaluation = None"]
    launch.train(str(tmp_path / "seed"), TINY, other, precision="float32", seed=1)
    record = run_dir.read_json(tmp_path / "seed" / run_dir.RUN)
    digest = run_dir.read_json(run / run_dir.RUN)["weights_digest"]
    assert record["weights_digest"] != digest


@pytest.mark.parametrize("stop", [2, 4, 7, 8])
def test_resumes_bit_by_bit(run, tmp_path, stop):
    words = ["Checkpoint.every_steps = 2", "train.callbacks = [@StopAt()]"]
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        launch.train(
            str(folder), TINY, [*words, f"StopAt.step = {stop}"], precision="float32"
        )
    assert run_dir.read_json(folder / run_dir.RUN)["status"] == "stopped"
    text = (folder / run_dir.CONFIG).read_text()
    # Where it stopped is part of this test's config only.
    (folder / run_dir.CONFIG).write_text(
        text.replace(f"StopAt.step = {stop}", "StopAt.step = 99")
    )
    launch.train(str(folder), TINY, [*words, "StopAt.step = 99"], precision="float32")
    record = run_dir.read_json(folder / run_dir.RUN)
    assert record["resumed"] == 1
    assert record["resumed_at"] == [stop // 2 * 2]
    digest = run_dir.read_json(run / run_dir.RUN)["weights_digest"]
    assert record["weights_digest"] == digest
    steps = [row["step"] for row in run_dir.read_lines(folder / run_dir.METRICS)]
    assert steps == list(range(1, 9))


def test_finished_run_is_not_trained_again(run):
    before = run_dir.read_json(run / run_dir.RUN)
    rows = run_dir.read_lines(run / run_dir.EVALUATIONS)
    launch.train(str(run), TINY, precision="float32")
    after = run_dir.read_json(run / run_dir.RUN)
    assert after["weights_digest"] == before["weights_digest"]
    assert (after["resumed"], after["seconds"]) == (0, before["seconds"])
    assert run_dir.read_lines(run / run_dir.EVALUATIONS) == rows


def test_evaluates_run_and_export_alike(run):
    old = run_dir.read_lines(run / run_dir.EVALUATIONS)
    subjects = ["encoder", "random_init", "raw_pixels"]
    rows = evaluate.evaluate(
        run, ["knn"], subjects, None, None, "train[:64]", "test[:64]"
    )
    assert [r["subject"] for r in rows] == subjects
    online = {r["subject"]: r for r in old if r["evaluation"] == "knn"}
    for row in rows[::2]:
        assert row == online[row["subject"]] | {"step": row["step"]}
    served = evaluate.evaluate(
        run / "export", ["knn"], train_split="train[:64]", test_split="test[:64]"
    )
    assert abs(served[0]["top1"] - rows[0]["top1"]) < 0.02
    everything = run_dir.read_lines(run / run_dir.EVALUATIONS)
    assert everything == [*old, *rows]


def test_starts_from_another_run_or_export(run, tmp_path):
    from keras_ssl.core.tracing import named_variables

    want, _ = encoders.read(run)
    for i, source in enumerate((run, run / "export")):
        encoder = registry.get("encoder", "SmallResNet")(
            blocks=(1, 1), widths=(8, 16), name="other"
        )
        encoder(tf.zeros([1, 32, 32, 3]))
        encoders.start_from(encoder, str(source))
        for name, variable in named_variables(encoder).items():
            np.testing.assert_array_equal(variable.numpy(), want[name])
        del i
    wide = registry.get("encoder", "SmallResNet")(blocks=(1, 1), widths=(8, 32))
    wide(tf.zeros([1, 32, 32, 3]))
    before = [v.numpy() for v in wide.variables]
    with pytest.raises(ValueError, match=r"of other shape.*Nothing was loaded"):
        encoders.start_from(wide, str(run))
    for old, variable in zip(before, wide.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


_CALLER = """
import sys
sys.modules["keras_ssl"] = None
import json, numpy as np, tensorflow as tf, keras
path, pixels = sys.argv[1], np.load(sys.argv[2])
served = tf.saved_model.load(path).signatures
floats = tf.constant(pixels / 255.0, tf.float32)
layer = keras.layers.TFSMLayer(path, call_endpoint="serving_default")
larger = np.zeros((2, 50, 70, 3), np.uint8)
out = {
    "serving_default": served["serving_default"](images=pixels)["features"],
    "serve_float": served["serve_float"](images=floats)["features"],
    "layer": layer(pixels)["features"],
    "larger": served["serving_default"](images=larger)["features"],
}
np.savez(sys.argv[3], **{k: v.numpy() for k, v in out.items()})
"""


def test_export_is_called_without_keras_ssl(run, tmp_path):
    out = export.export(run, tmp_path / "exported")
    pixels = harness.images(4).numpy()
    np.save(tmp_path / "pixels.npy", pixels)
    words = ["-c", _CALLER, out, tmp_path / "pixels.npy", tmp_path / "out.npz"]
    subprocess.run([sys.executable, *map(str, words)], check=True, cwd=tmp_path)
    got = np.load(tmp_path / "out.npz")
    want = encoders.load(run)[0](pixels / np.float32(255.0), training=False)
    for name in ("serving_default", "serve_float", "layer"):
        np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=1e-5)
    assert got["larger"].shape == (2, want.shape[1])
    with pytest.raises(ValueError, match="exists"):
        export.export(run, tmp_path / "exported")


def test_unlabelled_folder_trains_without_scores(tmp_path):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for i, image in enumerate(harness.images(20, size=41)):
        encode, end = ((tf.io.encode_png, "png"), (tf.io.encode_jpeg, "JPG"))[i % 2]
        folder = tmp_path / "images" / ("deep" if i % 3 else "")
        tf.io.write_file(str(folder / f"{i}.{end}"), encode(image[: 20 + i]))
    words = [f"data = 'folder:{tmp_path}/images'", "train.split = 'train'"]
    launch.train(str(tmp_path / "run"), TINY, [*words, "train.batch_size = 4"])
    record = json.loads((tmp_path / "run" / run_dir.RUN).read_text())
    assert record["data"]["images"] == 20
    assert record["total_steps"] == 10
    assert not (tmp_path / "run" / run_dir.EVALUATIONS).exists()
    with pytest.raises(ValueError, match="needs labels"):
        evaluate.evaluate(tmp_path / "run", test_split="train")
