"""The main path on recordings: train, score, draw, export, evaluate; in tiny size."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import run_dir
from keras_ssl.data import sources
from keras_ssl.runs import encoders, evaluate, launch
from tests import tones

RECIPE = ["recipes/fsdd/cpc.gin"]
SMALL = [
    f"data = {tones.NAME!r}",
    "image_size = 640",
    "AudioEncoder.width = 16",
    "AudioEncoder.context_width = 12",
    "CPC.steps = 2",
    "CPC.positions = 4",
    "train.epochs = 2",
    "train.batch_size = 16",
    "train.log_every_steps = 1",
    "OnlineEvaluation.every_epochs = 1",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tones.prepare(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """A finished tiny run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    launch.train(str(path), RECIPE, SMALL, precision="float32", data_dir=folder)
    return path


def test_leaves_scores_and_pictures(run):
    record = run_dir.read_json(run / run_dir.RUN)
    assert record["status"] == "finished"
    assert record["encoder"]["name"] == "AudioEncoder"
    rows = run_dir.read_lines(run / run_dir.EVALUATIONS)
    subjects = {(row["subject"], row["evaluation"]) for row in rows}
    assert ("spectrum", "linear") in subjects
    assert ("raw_pixels", "linear") not in subjects
    # Overtones or none: a spectrum tells the voices.
    (easy,) = [
        row["top1"]
        for row in rows
        if (row["subject"], row["evaluation"]) == ("spectrum", "linear")
    ]
    assert easy > 0.9
    assert "middle window" in rows[0]["protocol"]["preprocessing"]
    for name in (run_dir.VIEWS, run_dir.CURVES):
        assert (run / name).stat().st_size > 5000


def test_draws_a_picture_of_the_classes(run):
    pytest.importorskip("sklearn")
    assert (run / run_dir.TSNE).stat().st_size > 5000


def test_export_equals_the_encoder(run, folder):
    encoder, meta = encoders.load(run)
    assert meta["image_size"] == 640
    pcm = sources.open_source(tones.NAME, "test", folder).try_read(0)[None]
    want = encoder(tf.cast(pcm, tf.float32) / 2**15)
    served = tf.saved_model.load(str(run / run_dir.EXPORT)).signatures
    got = served["serving_default"](waveforms=pcm)["features"]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", ["", run_dir.EXPORT])
def test_evaluates_runs_and_exports(run, folder, part):
    (row,) = evaluate.evaluate(run / part, ["knn"], data_dir=folder, data=tones.NAME)
    last = [
        r
        for r in run_dir.read_lines(run / run_dir.EVALUATIONS)
        if (r["subject"], r["evaluation"]) == ("encoder", "knn")
    ]
    assert row["top1"] == last[-1]["top1"]


def test_baselines_are_those_of_the_kind(run, folder):
    given = {"data": tones.NAME, "data_dir": folder}
    (row,) = evaluate.evaluate(run, ["knn"], ["spectrum"], **given)
    assert row["subject"] == "spectrum"
    with pytest.raises(ValueError, match="'raw_pixels' is no baseline of audio data"):
        evaluate.evaluate(run, ["knn"], ["raw_pixels"], **given)


def test_images_for_an_encoder_of_recordings_are_refused(tmp_path):
    bindings = [*SMALL[1:], "data = 'embedded:32'"]
    with pytest.raises(ValueError, match="takes audio data and 'embedded:32' is image"):
        launch.train(str(tmp_path / "run"), RECIPE, bindings, precision="float32")
