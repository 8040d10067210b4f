"""Each mistake gets one clear sentence, before any compute, and leaves nothing."""

import subprocess
import sys

import pytest
import tensorflow as tf

from keras_ssl.core import config, distribute, run_dir
from keras_ssl.runs import evaluate, export, launch
from tests import harness

TINY = ["methods/simclr.gin", "tiny.gin"]


def said(folder, *bindings, files=TINY, **settings):
    """What the trainer says of a mistake; nothing may be left behind."""
    with pytest.raises((ValueError, TypeError, KeyError)) as caught:
        launch.train(str(folder / "run"), files, bindings, **settings)
    assert not (folder / "run").exists()
    text = config.explain(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        ("SimCLR.temprature = 0.1", ["temprature", "Did you mean 'temperature'"]),
        ("train.method = @SimCRL()", ["SimCRL", "Did you mean 'SimCLR'"]),
        ("SimCRL.temperature = 1", ["SimCRL", "Did you mean 'SimCLR'"]),
        ("projecter/MLP.widths = (8, 4)", ["projecter", "'projector/MLP.widths'"]),
        ("imagesize = 32", ["imagesize", "Did you mean 'image_size'"]),
        ("LARS.momentum = 0.8", ["Nothing uses", "LARS.momentum"]),
        ("train.split = 'validation'", ["no split 'validation'", "test, train"]),
        ("data = 'embedded:33'", ["32, 64", "embedded:32"]),
        ("data = 'tdfs:cifar10'", ["No dataset named 'tdfs'", "'tfds'"]),
        ("data = 'cifar10'", ["kind:name", "tfds:cifar10"]),
        ("data = 'tfds:cifarr10'", ["no data set 'cifarr10'"]),
        ("data = 'folder:/no/such'", ["no folder", "/no/such"]),
        ("train.batch_size = 65", ["batch_size 65", "64 images", "smaller"]),
        ("train.accumulate = 3", ["got 3; take 2 or 4, or 15 or 18 images a replica"]),
        ("train.accumulate = 0", ["at least 1", "16 images", "got 0; take 1."]),
        ("train.epochs = 0", ["epochs", "at least 1", "0"]),
        ("train.learning_rate_scale = 'cubic'", ["linear, sqrt, none", "cubic"]),
        ("SimCLR.temperature = 0", ["temperature must be positive"]),
        ("SimCLR.encoder = @SmallResNet", ["encoder", "'()'"]),
        ("SimCLRViews.count = 1", ["SimCLR needs 2 views", "makes 1"]),
        ("train.epochs = [1", ["--gin="]),
        ("train.method = %nothing", ["nothing"]),
    ],
)
def test_binding(tmp_path, binding, words):
    text = said(tmp_path, binding)
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, ["needs the environment variable TF_CONFIG", "is not set"]),
        ("{", ["TF_CONFIG is not JSON"]),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            ["is worker 1; its cluster has 1 of them"],
        ),
    ],
)
def test_workers_that_are_not_named(tmp_path, monkeypatch, config, words):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    text = said(tmp_path, strategy="multiworker")
    for word in words:
        assert word in text


def test_strategies_that_cannot_be(tmp_path, monkeypatch):
    assert "Unknown strategy 'two'" in said(tmp_path, strategy="two")
    assert "not for a TPU" in said(tmp_path, strategy="tpu", cpu_devices=2)
    assert "tpu='a' needs the strategy tpu" in said(tmp_path, tpu="a")
    assert "worker_timeout must be positive" in said(tmp_path, worker_timeout=0)
    task = '"task": {"type": "worker", "index": 0}'
    two = f'{{"cluster": {{"worker": ["a:1", "b:1"]}}, {task}}}'
    monkeypatch.setenv("TF_CONFIG", two)
    text = said(tmp_path, strategy="multiworker", plan=True)
    assert "A plan is made by one process" in text


def test_missing_recipe(tmp_path):
    text = said(tmp_path, files=["methods/simcrl.gin"])
    assert "Did you mean 'methods/simclr.gin'" in text


def test_recipe_without_a_method(tmp_path):
    assert "train needs a value for" in said(tmp_path, files=["base.gin"])


def test_batch_that_replicas_cannot_share(tmp_path, monkeypatch):
    monkeypatch.setattr(distribute, "replicas", lambda: 3)
    text = said(tmp_path)
    assert "batch_size 16" in text
    assert "multiple of 3, such as 15 or 18" in text


def test_share_of_a_replica_that_has_no_such_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(distribute, "replicas", lambda: 2)
    text = said(tmp_path, "train.accumulate = 16")
    assert "divide the 8 images of each replica's batch, got 16; take 8" in text


def test_unlabelled_set_where_labels_are_needed(tmp_path):
    (tmp_path / "images").mkdir()
    for i, image in enumerate(harness.images(64)):
        tf.io.write_file(f"{tmp_path}/images/{i}.png", tf.io.encode_png(image))
    name = f"folder:{tmp_path}/images"
    text = said(
        tmp_path,
        f"OnlineEvaluation.data = {name!r}",
        "OnlineEvaluation.test_split = 'train'",
    )
    assert "needs labels" in text
    assert "?labels=folders" in text


def test_plugin_that_is_not_there(tmp_path):
    assert "No module named 'no_such'" in said(tmp_path, plugins=["no_such"])


def test_directory_of_another_run(tmp_path):
    config.parse(TINY)
    run_dir.write_text(tmp_path / "run" / run_dir.CONFIG, config.texts()[0])
    with pytest.raises(ValueError, match="holds a run with other settings") as caught:
        launch.train(str(tmp_path / "run"), TINY, ["SimCLR.temperature = 0.3"])
    assert "SimCLR.temperature was 0.2, is now 0.3" in str(caught.value)
    assert [p.name for p in (tmp_path / "run").iterdir()] == [run_dir.CONFIG]


def test_no_such_run_or_checkpoint(tmp_path):
    for call in (evaluate.evaluate, export.export):
        with pytest.raises(ValueError, match="neither a run"):
            call(tmp_path / "none")
    with pytest.raises(ValueError, match="neither a run"):
        launch.train(str(tmp_path / "run"), TINY, init_from=str(tmp_path / "none"))
    run_dir.write_json(tmp_path / "bare" / run_dir.RUN, {"status": "running"})
    for call in (evaluate.evaluate, export.export):
        with pytest.raises(ValueError, match="no checkpoint in checkpoints/; train it"):
            call(tmp_path / "bare")
    assert [p.name for p in (tmp_path / "bare").iterdir()] == [run_dir.RUN]
    with pytest.raises(KeyError, match="Did you mean 'knn'"):
        evaluate.evaluate(tmp_path / "bare", evaluations=["knm"])


def test_loss_that_is_no_number_ends_the_run(tmp_path):
    bindings = ["rate/cosine.base = 1e38", "rate/cosine.warmup_epochs = 0"]
    bindings += ["train.evaluation = None"]
    with pytest.raises(FloatingPointError, match="Lower the learning rate") as caught:
        launch.train(str(tmp_path / "run"), TINY, bindings)
    # What went bad first: a layer, by what the step before did to its weights.
    named = "First the output of small_resnet/stem/norm [32, 32, 32, 16] NaN at step 2"
    assert named in str(caught.value)
    assert "In the step before small_resnet/stem/conv/kernel grew" in str(caught.value)
    assert run_dir.read_json(tmp_path / "run" / run_dir.RUN)["status"] == "failed"


def test_binary_ends_with_status_2_and_one_line(pytestconfig, tmp_path):
    tool = pytestconfig.rootpath / "tools" / "train.py"
    words = ["--gin_file=methods/simclr.gin", "--gin=SimCLR.temprature = 1"]
    done = subprocess.run(
        [sys.executable, tool, *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert errors[-1].startswith("error: Configurable 'SimCLR' doesn't have")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
