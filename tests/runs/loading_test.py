"""What is loaded is what was saved: by name, by shape, and by what it computes."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import run_dir, weights_file
from keras_ssl.core.tracing import named_variables
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.export.saved_model import WEIGHTS
from keras_ssl.layers import conv_norm
from keras_ssl.runs import encoders, evaluate, export, launch

TINY = ["methods/simclr.gin", "tiny.gin"]
# Of equal width, so that kernels have one shape.
WORDS = ["train.evaluation = None", "SmallResNet.widths = (8, 8)"]
SPLITS = {"train_split": "train[:64]", "test_split": "test[:64]"}
OTHER = "the weights loaded by name, but the encoder computes something else"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    launch.train(str(folder), TINY, WORDS, precision="float32")
    return folder


@pytest.fixture
def run(whole, tmp_path):
    """A copy, to be spoilt."""
    return shutil.copytree(whole, tmp_path / "run")


def newest(run):
    return sorted((run / run_dir.CHECKPOINTS).iterdir())[-1]


def change(path, edit):
    """Writes a weights file anew, valid, after `edit(arrays, meta)`."""
    arrays, meta = weights_file.load(path)
    edit(arrays, meta)
    weights_file.save(path, arrays, meta)


def swap(arrays, meta=None):
    """Exchanges the first two kernels of one shape."""
    del meta
    kernels = [k for k in sorted(arrays) if "stage" in k and k.endswith("conv/kernel")]
    kernels = [k for k in kernels if not k.startswith("optimizer")]
    one, other = next(
        (a, b)
        for i, a in enumerate(kernels)
        for b in kernels[i + 1 :]
        if arrays[a].shape == arrays[b].shape
    )
    arrays[one], arrays[other] = arrays[other], arrays[one]


def evaluated(path, *subjects):
    return evaluate.evaluate(path, ["knn"], subjects or ("encoder",), **SPLITS)


def fresh():
    keras.utils.set_random_seed(1)
    encoder = SmallResNet(widths=(8, 8), blocks=(1, 1))
    encoder(tf.zeros([1, 32, 32, 3]))
    return encoder


def refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def everywhere(run, tmp_path, words):
    """Every way to load a run's encoder refuses it."""
    refused(lambda: encoders.load(run), words)
    refused(lambda: encoders.load(run, "mixed_float16"), words)
    refused(lambda: evaluated(run), words)
    refused(lambda: export.export(run, tmp_path / "out"), words)
    assert not (tmp_path / "out").exists()
    refused(lambda: encoders.start_from(fresh(), str(run)), words)
    before = (run / run_dir.RUN).read_text()
    refused(lambda: launch.train(str(run), TINY, WORDS, precision="float32"), words)
    assert (run / run_dir.RUN).read_text() == before


def test_each_load_says_one_audit(run, capsys, tmp_path):
    audit = "35 of 35 variables matched, 0 missing, 0 unexpected, 0 of other shape."
    for call in (
        lambda: encoders.load(run),
        lambda: encoders.start_from(fresh(), str(run / "export")),
        lambda: export.export(run, tmp_path / "out"),
    ):
        capsys.readouterr()
        call()
        said = capsys.readouterr().err
        assert said.count(audit) == 1
        assert said.count("known output came out again") == 1
    # An export is scored by its signature: nothing is loaded by name.
    evaluated(run / "export")
    assert "known output came out again" in capsys.readouterr().err
    launch.train(str(run), TINY, WORDS, precision="float32")
    said = capsys.readouterr().err
    assert said.count(" variables matched, 0 missing, 0 unexpected") == 1
    assert "step 8: its known output came out again" in said


def test_kernels_in_each_others_place_are_found(run, tmp_path):
    change(newest(run), swap)
    everywhere(run, tmp_path, OTHER)
    change(run / "export" / WEIGHTS, swap)
    refused(lambda: encoders.load(run / "export"), OTHER)


def test_other_code_is_found(run, tmp_path, monkeypatch):
    monkeypatch.setattr(conv_norm.tf.nn, "relu", tf.nn.silu)
    everywhere(run, tmp_path, OTHER)


def test_an_export_that_serves_something_else_is_found(run):
    def edit(arrays, meta):
        meta["known_output"]["features"][1][0] += 1.0

    change(run / "export" / WEIGHTS, edit)
    refused(lambda: evaluated(run / "export"), OTHER)


def test_older_checkpoints_load_unchecked(run, capsys):
    change(newest(run), lambda arrays, meta: meta.pop("notes"))
    encoders.load(run)
    assert "has no known output" in capsys.readouterr().err
    assert evaluated(run)[0]["step"] == 8
    launch.train(str(run), TINY, WORDS, precision="float32")
    assert "has no known output" in capsys.readouterr().err


@pytest.mark.parametrize("notes", [True, False])
def test_a_checkpoint_of_step_0_is_no_trained_encoder(run, tmp_path, notes):
    def edit(arrays, meta):
        meta["step"] = 0
        if not notes:
            meta.pop("notes", None)

    change(newest(run), edit)
    words = r"as it was initialised: its newest checkpoint is of step 0\..*random_init"
    refused(lambda: evaluated(run), words)
    refused(lambda: evaluated(run, "raw_pixels", "encoder"), words)
    refused(lambda: export.export(run, tmp_path / "out"), words)
    assert [row["subject"] for row in evaluated(run, "random_init")] == ["random_init"]
    # An export that an older version let through.
    change(run / "export" / WEIGHTS, edit)
    refused(lambda: evaluated(run / "export"), "its step is 0")


def test_the_untrained_encoder_is_the_same_each_time(run):
    first, again = (evaluated(run, "random_init")[0]["health"] for _ in range(2))
    assert first == again


@pytest.mark.slow
def test_an_encoder_that_training_left_alone(whole, tmp_path, capsys):
    still = [*WORDS, "rate/cosine.base = 0.0"]
    words = "its 8 steps have not changed the encoder's weights"
    run = tmp_path / "still"
    refused(lambda: launch.train(str(run), TINY, still, precision="float32"), words)
    assert run_dir.read_json(run / run_dir.RUN)["status"] == "finished"
    refused(lambda: evaluated(run), words)
    refused(lambda: export.export(run, tmp_path / "out"), words)
    assert evaluated(run, "random_init")
    # What was loaded is not random: it is only said whose it is.
    run = tmp_path / "loaded"
    launch.train(str(run), TINY, still, precision="float32", init_from=str(whole))
    assert f"{words}, so that it is still the encoder of {whole}" in (
        capsys.readouterr().err
    )
    assert evaluated(run)


def test_exceptions_are_named_and_all_else_must_match(whole, tmp_path, capsys):
    encoder, (arrays, _) = fresh(), encoders.read(whole)
    before = weights_file.values(named_variables(encoder))
    encoders.start_from(encoder, str(whole), ["^stem/"])
    said = capsys.readouterr().err
    assert "30 of 35 variables matched" in said
    assert "5 excepted, which keep their initial values (stem/conv/kernel, " in said
    assert "with exceptions, so what it computes is not checked" in said
    for name, value in weights_file.values(named_variables(encoder)).items():
        want = before if name.startswith("stem/") else arrays
        np.testing.assert_array_equal(value, want[name])
    wide = [*WORDS, "SmallResNet.widths = (8, 32)"]
    start = {"precision": "float32", "init_from": str(whole)}
    for patterns, words in (
        ((), r"of other shape \(.* instead of .*Nothing was loaded"),
        (("stage1",), "of other shape"),
        (("stagee2",), "fits no name"),
    ):
        run = tmp_path / "wide"
        with pytest.raises(ValueError, match=words):
            launch.train(str(run), TINY, wide, init_from_except=patterns, **start)
        assert not run.exists()
    refused(
        lambda: launch.train(str(run), TINY, WORDS, init_from_except=["a"]),
        "give both",
    )
