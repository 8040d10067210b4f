"""A tiny proof from end to end: killed, resumed, one recipe broken."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from keras_ssl.core import config, run_dir
from keras_ssl.runs import prove, prove_job, prove_records, prove_table, records
from tests.readme_test import ROOT

PLUGIN = '''
"""A callback that kills its process once."""

import os, pathlib, signal
import keras
from keras_ssl.core.registry import register


@register("callback")
class KillOnce(keras.callbacks.Callback):
    """Kills the process after a step, unless a file says that it has.

    Args:
        marker: That file.
        step: That step.
    """

    def __init__(self, marker, step=6):
        super().__init__()
        self.marker, self.step_ = pathlib.Path(marker), step

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        if step == self.step_ and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
'''
PROTOCOL = """
# A proof of seconds.
# In two lines.

include 'proofs/embedded.gin'
include 'tiny.gin'

optional.parts = ('SmallResNet', 'ViT', 'MAEDecoder', 'prove')
Checkpoint.every_steps = 2
prove.bound = 0.9
train.callbacks = [@KillOnce()]
KillOnce.marker = {marker!r}
"""


@pytest.fixture
def little(tmp_path):
    """Folder with a protocol, a plugin and a recipe that cannot train."""
    (tmp_path / "kill_once.py").write_text(PLUGIN)
    marker = str(tmp_path / "killed")
    (tmp_path / "little.gin").write_text(PROTOCOL.lstrip().format(marker=marker))
    broken = "include 'methods/simclr.gin'\nSimCLR.temperature = -1.0\n"
    (tmp_path / "broken.gin").write_text(broken)
    return tmp_path


def call(folder, *words):
    """Runs the tool in a folder."""
    command = [sys.executable, ROOT / "tools" / "prove.py", "--protocol=little.gin"]
    command += ["--plugin=kill_once.py", "--precision=float32", "--records=kept"]
    return subprocess.run(
        [*command, *words], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.slow
def test_grows_run_by_run(little):
    words = "--methods=simclr,broken.gin,mae"
    first = call(little, words)
    assert first.returncode == 1, first.stderr
    kept = little / "kept" / "little"
    failed = prove_records.failures(kept)
    assert failed["simclr", "0"] == "killed by SIGKILL"
    assert "temperature" in failed["broken", "0"]
    assert str(little) not in json.dumps(list(failed.values()))
    assert not (kept / "simclr" / "seed0" / run_dir.RUN).exists()
    assert list(prove_records.tables(kept)[0].methods) == ["mae"]
    assert "[1/3] simclr, seed 0 failed: killed by SIGKILL. 2 left" in first.stderr
    assert "[3/3] mae, seed 0 finished: knn 0." in first.stderr
    weights = run_dir.read_json(kept / "mae" / "seed0" / run_dir.RUN)["weights_digest"]

    second = call(little, words)
    assert second.returncode == 1, second.stderr
    assert "[3/3] mae, seed 0 was finished: knn 0." in second.stderr
    assert ("simclr", "0") not in prove_records.failures(kept)
    record = run_dir.read_json(kept / "simclr" / "seed0" / run_dir.RUN)
    assert (record["resumed"], record["resumed_at"]) == (1, [6])
    assert record["data_dir"] is None
    again = run_dir.read_json(kept / "mae" / "seed0" / run_dir.RUN)["weights_digest"]
    assert again == weights
    assert (kept / "mae" / "seed0" / run_dir.PICTURES).exists()

    text = (little / "kept" / "little.md").read_text()
    assert text == prove_table.markdown(kept)
    assert text.startswith("# Proof: little\n\nA proof of seconds. In two lines.\n")
    top1 = prove_records.final(kept / "simclr" / "seed0")["encoder", "knn"]["top1"]
    assert f"| 16 | 0 | {top1:.3f} | " in text
    # A ViT beside a ResNet: never in one table.
    assert text.count("| method | family |") == 2
    assert "**short**: reason not known" in text
    assert "| broken | 0 | " in text

    (kept / "simclr" / prove_records.REASON).write_text("Eight steps.")
    third = call(little, "--table_only", "--seeds=0")
    assert third.returncode == 0, third.stderr
    assert "**short**: Eight steps." in (little / "kept" / "little.md").read_text()
    assert call(little, "--seeds=7").returncode == 2


def job(folder, seed=0, **changes):
    launch = records.Launch(pathlib.Path(), None, seed, "float32")
    files = ("methods/simclr.gin", "proofs/embedded.gin")
    return prove_job.Job("simclr", files, folder / "out", folder / "kept", launch)


def test_a_finished_run_of_another_protocol_is_refused(tmp_path):
    one = job(tmp_path)
    config.parse(one.files, ["train.epochs = 3"])
    run_dir.write_text(one.folder / run_dir.CONFIG, config.texts()[0])
    run_dir.write_json(one.folder / run_dir.RUN, {"status": "finished"})
    assert one.finished
    with pytest.raises(ValueError, match=r"train\.epochs was 3, is now 8"):
        one.check()


def test_messages_name_no_folder_of_the_machine(tmp_path):
    one = job(tmp_path)
    text = f"{one.folder} holds another; see {os.getcwd()}/x"
    assert one.public(text) == "the run holds another; see ./x"


@pytest.mark.parametrize(
    ("said", "status", "want"),
    [
        ("step 1\nerror: The rate is wrong.\n\n", 2, "The rate is wrong."),
        ("Traceback\n  x\nRuntimeError: no\n", 1, "RuntimeError: no"),
        ("step 1\n", -9, "killed by SIGKILL"),
        ("", 1, "status 1"),
    ],
)
def test_says_why_a_run_failed(said, status, want):
    assert prove_job.last_error(said, status) == want


def test_finds_recipes_by_name_path_and_family(tmp_path):
    every = prove.recipes()
    assert {"methods/simclr.gin", "methods/mae.gin"} <= set(every)
    assert prove.recipes(["byol"]) == ["methods/byol.gin"]
    same = prove.recipes(family="instance discrimination")
    assert "methods/simclr.gin" in same
    assert "methods/mae.gin" not in same
    mine = tmp_path / "mine.gin"
    mine.write_text("include 'methods/simclr.gin'\n")
    names = [str(mine), "mae"]
    assert prove.recipes(names, "instance discrimination") == [str(mine)]
    with pytest.raises(ValueError, match=r"methods/simclr\.gin"):
        prove.recipes(["simcrl"])
    with pytest.raises(ValueError, match="family 'x'; there are"):
        prove.recipes(family="x")


@pytest.mark.parametrize("protocol", ["embedded", "cifar10"])
@pytest.mark.parametrize("recipe", prove.recipes())
def test_every_method_fits_every_protocol(recipe, protocol):
    config.parse([recipe, prove.protocol_file(protocol)])
    assert config.value("train", "method").encoder.feature_dim in {128}
    scored = config.value("train", "evaluation")
    assert scored.limits == (10_000, 10_000)
    assert scored.test_split == "test"


def test_a_recipe_cannot_change_the_budget(tmp_path):
    recipe = tmp_path / "greedy.gin"
    lines = ["include 'methods/simclr.gin'", "train.epochs = 99", "train.split = 'x'"]
    recipe.write_text("\n".join([*lines, "OnlineEvaluation.limits = (1, 1)"]))
    config.parse([str(recipe), "proofs/cifar10.gin"])
    assert config.value("train", "epochs") == 16
    assert config.value("train", "split") == "train[:10000]"
    assert config.value("train", "evaluation").limits == (10_000, 10_000)
