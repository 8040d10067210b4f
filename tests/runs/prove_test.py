"""A tiny proof from end to end: killed, resumed, one recipe broken."""

import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import gin
import pytest

from keras_ssl.core import config, run_dir
from keras_ssl.runs import (
    prove,
    prove_job,
    prove_pool,
    prove_records,
    prove_table,
    records,
)
from tests.readme_test import ROOT
from tests.runs.prove_records_test import write

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

Checkpoint.every_steps = 2
# What was saved before the kill is on disk then.
Checkpoint.background = False
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


TRAINER = """#!{python}
import json, os, pathlib, shutil, signal, sys, time

words = json.loads(sys.argv[-2])
folder = pathlib.Path(words["run_dir"])
with open("{calls}", "a") as calls:
    calls.write(f"{{folder.parent.name}} {{words['seed']}}\\n")
print("step 1", flush=True)
if folder.parent.name == "byol":
    print(f"error: The rate of {{folder}} is wrong.")
    sys.exit(2)
if folder.parent.name == "mae":
    os.kill(os.getpid(), signal.SIGKILL)
if folder.parent.name == "rotnet":
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(60)
for file in pathlib.Path("{template}").glob("*json*"):
    shutil.copy(file, folder)
run = json.loads((folder / "run.json").read_text()) | {{"seed": words["seed"]}}
(folder / "run.json").write_text(json.dumps(run | {{"data_dir": "/home/me"}}))
"""


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """Something else in the trainer's place; says how often it was called for what."""
    template = write(tmp_path / "template")
    calls, script = tmp_path / "calls", tmp_path / "python"
    calls.touch()
    text = TRAINER.format(python=sys.executable, calls=calls, template=template)
    script.write_text(text)
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return lambda: collections.Counter(calls.read_text().splitlines())


def little_proof(folder, methods, **given):
    words = {"out": str(folder / "out"), "kept": str(folder / "kept")}
    words |= {"bound": 0.1, "seeds": (0, 1), "precision": "float32"}
    return prove.prove("embedded", methods=methods, **{**words, **given})


def test_a_failure_is_recorded_and_stops_no_other(tmp_path, trainer, capsys):
    methods = ["byol", "simclr", "mae"]
    assert little_proof(tmp_path, methods, only_seeds=(0,)) == 1
    kept = tmp_path / "kept" / "embedded"
    assert prove_records.failures(kept) == {
        ("byol", "0"): "The rate of the run is wrong.",
        ("mae", "0"): "killed by SIGKILL",
    }
    assert "yes, seed 1 missing" in kept.with_name("embedded.md").read_text()
    assert "[2/3] simclr, seed 0 finished: knn 0.500" in capsys.readouterr().err
    record = run_dir.read_json(kept / "simclr" / "seed0" / run_dir.RUN)
    assert record["data_dir"] is None

    assert little_proof(tmp_path, methods) == 1
    assert trainer() == {
        "simclr 0": 1,
        "simclr 1": 1,
        **{f"{name} 0": 2 for name in ("byol", "mae")},
        **{f"{name} 1": 1 for name in ("byol", "mae")},
    }
    text = kept.with_name("embedded.md").read_text()
    assert "| 0, 1 | 0.500 [0.500, 0.500] |" in text
    assert "| mae | 1 | killed by SIGKILL |" in text
    shutil.copytree(
        tmp_path / "out/embedded/simclr",
        tmp_path / "out/embedded/byol",
        dirs_exist_ok=True,
    )
    assert little_proof(tmp_path, ["byol"]) == 0
    assert ("byol", "0") not in prove_records.failures(kept)


def test_ends_its_run_when_it_is_told_to_end(tmp_path, trainer):
    before = signal.getsignal(signal.SIGTERM)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        little_proof(tmp_path, ["rotnet", "simclr"])
    assert time.monotonic() - begun < 30
    assert trainer() == {"rotnet 0": 1}
    assert signal.getsignal(signal.SIGTERM) is before


def test_several_at_a_time_share_the_cores(tmp_path, trainer, monkeypatch, capsys):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert prove_pool.shares(1) == [()]
    assert prove_pool.shares(2) == [(0, 2), (1, 3)]
    with pytest.raises(ValueError, match="between 1 and the 4 cores; got 5"):
        prove_pool.shares(5)
    started = []
    start = prove_job.Job.start
    monkeypatch.setattr(
        prove_job.Job,
        "start",
        lambda job, cores: started.append((job.method, cores)) or start(job, cores),
    )
    methods = ["simclr", "byol", "vicreg", "moco"]
    assert little_proof(tmp_path, methods, only_seeds=(0,), jobs=2) == 1
    assert trainer() == {f"{name} 0": 1 for name in methods}
    assert {cores for _, cores in started[:2]} == {(0, 2), (1, 3)}
    said = capsys.readouterr().err.splitlines()
    both = [line.split(":")[0] for line in said[:2]]
    assert both == ["[1/4] simclr, seed 0", "[2/4] byol, seed 0"]
    assert "moco, seed 0 finished" in "".join(said)
    assert list(prove_records.failures(tmp_path / "kept" / "embedded")) == [
        ("byol", "0")
    ]


def test_ends_all_its_runs_when_it_is_told_to_end(tmp_path, trainer, monkeypatch):
    started = []
    start = prove_job.Job.start
    # On a single core too.
    monkeypatch.setattr(prove_pool, "shares", lambda count: [()] * count)
    monkeypatch.setattr(
        prove_job.Job, "start", lambda *a: started.append(start(*a)) or started[-1]
    )
    with pytest.raises(KeyboardInterrupt):
        little_proof(tmp_path, ["moco", "rotnet", "simclr"], jobs=2, only_seeds=(0,))
    assert {one.job.method for one in started} >= {"moco", "rotnet"}
    assert all(one.child.returncode is not None for one in started)


def test_table_only_runs_nothing(tmp_path, trainer):
    write(tmp_path / "kept" / "embedded")
    assert little_proof(tmp_path, ["simclr"], table_only=True) == 0
    assert "SIMCLR" in (tmp_path / "kept" / "embedded.md").read_text()
    assert not trainer()
    with pytest.raises(ValueError, match=r"seeds .* are \(0, 1\); got \[7\]"):
        little_proof(tmp_path, ["simclr"], only_seeds=(7,))
    with pytest.raises(ValueError, match=r"jobs must be between 1 and the \d+ cores"):
        little_proof(tmp_path / "new", ["simclr"], jobs=1 << 20)
    assert not (tmp_path / "new").exists()


def job(folder, seed=0):
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
    assert config.value("train", "method").encoder.feature_dim
    assert config.value("train", "epochs") == {"embedded": 8, "cifar10": 16}[protocol]
    scored = config.value("train", "evaluation")
    assert scored.limits == (10_000, 10_000)
    assert scored.test_split == "test"
    # A macro that the protocol has made idle would be refused by the run.
    text = gin.config_str()
    macros = set(re.findall(r"^(\w+) = ", text, re.M)) - {"tiny_encoder", "encoder"}
    assert {name for name in macros if f"%{name}" not in text} == set()


def test_a_recipe_cannot_change_the_budget(tmp_path):
    recipe = tmp_path / "greedy.gin"
    lines = ["include 'methods/simclr.gin'", "train.epochs = 99", "train.split = 'x'"]
    recipe.write_text("\n".join([*lines, "OnlineEvaluation.limits = (1, 1)"]))
    config.parse([str(recipe), "proofs/cifar10.gin"])
    assert config.value("train", "epochs") == 16
    assert config.value("train", "split") == "train[:10000]"
    assert config.value("train", "evaluation").limits == (10_000, 10_000)
