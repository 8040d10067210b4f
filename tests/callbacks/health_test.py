"""Health: signs and states, what a run keeps of them, and that it changes nothing."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import metrics
from keras_ssl.callbacks.health import Health
from keras_ssl.core import run_dir
from keras_ssl.metrics import signs
from keras_ssl.runs import launch, saved_batch
from keras_ssl.schedules import Clock

TINY = ["methods/swav.gin", "tiny.gin"]
BARE = ["train.evaluation = None"]


def sign(**given):
    return signs.Sign("objective/x", lambda reading: None, advice="why.", **given)


def test_states_of_a_number():
    low = sign(warns=(0.5, None), collapsed=(0.1, None))
    assert [low.state(x, None) for x in (0.6, 0.5, 0.4, 0.05)] == [0, 0, 1, 2]
    assert low.state(float("nan"), None) == 2
    high = sign(warns=(None, 0.9))
    assert [high.state(x, None) for x in (0.9, 0.95)] == [0, 1]
    shared = sign(warns=(0.5, None), relative=True)
    assert [shared.state(x, 4.0) for x in (2.1, 1.9)] == [0, 1]
    # Without the number before training there is nothing to compare with.
    assert shared.state(0.0, None) == 0
    assert low.sentence(0.05, None) == "objective/x is 0.05, below 0.1: why."
    assert shared.sentence(1.0, 4.0) == "objective/x is 1, below 2: why."


def test_information():
    certain = tf.one_hot([0, 1, 2, 3], 8)
    assert float(metrics.information(certain)) == pytest.approx(np.log(4), rel=1e-5)
    assert float(metrics.information(tf.fill([4, 8], 1 / 8))) == pytest.approx(0)
    assert float(metrics.information(tf.one_hot([5] * 4, 8))) == pytest.approx(0)


class Watched(Health):
    """Health of values that are given.

    Args:
        values: By probe.
        made: The signs.
        total: Steps of the run.
    """

    def __init__(self, folder, values, made, total=100):
        super().__init__(every_steps=1)
        self.signs, self.clock = (made,), Clock(total, total)
        self.path, self.told = folder / run_dir.HEALTH, []
        self.writer = tf.summary.create_noop_writer()
        self.tell = lambda **facts: self.told.append(facts["health"]["state"])
        self.probe = lambda: {made.name: values.pop(0)}


def states(folder, values, made, steps=None, **given):
    watched = Watched(folder, list(values), made, **given)
    for step in steps or range(len(values)):
        watched.look(step)
    return [row["state"] for row in watched.rows], watched


def test_two_probes_in_a_row_change_the_state(tmp_path, capsys):
    made = sign(warns=(0.5, None), collapsed=(0.1, None))
    values = [1, 0.3, 1, 0.3, 0.05, 0.05, 0.3, 0.3, 1, 1]
    found, watched = states(tmp_path, values, made)
    h, w, c = signs.STATES
    assert found == [h, h, h, h, w, c, c, w, w, h]
    assert watched.told == found
    said = capsys.readouterr().err.strip().splitlines()
    # One line for each change.
    assert len(said) == 4
    assert said[1] == "step 5  health: collapsed. objective/x is 0.05, below 0.1: why."
    kept = run_dir.read_lines(tmp_path / run_dir.HEALTH)
    assert [row["state"] for row in kept] == found
    assert kept[0]["signs"] == {"objective/x": 1.0}


def test_what_was_never_healthy_has_time(tmp_path):
    made = sign(warns=(0.5, None), since=0.25)
    found, _ = states(tmp_path, [0.1] * 5, made, [0, 10, 20, 25, 30])
    assert found == ["healthy"] * 4 + ["warning"]
    (tmp_path / "once").mkdir()
    found, _ = states(tmp_path / "once", [0.1, 0.6, 0.1, 0.1], made, [0, 1, 2, 3])
    assert found[-1] == "warning"


def test_period(tmp_path):
    def every(total, batch, **given):
        health = Health(**given)
        health.clock = Clock(total, 10)
        return health._period(batch)

    # 256 images are 1 % of 100 steps of 256.
    assert every(1000, 256) == 100
    assert every(10_000, 64) == 400
    # Of a long run some 200 probes; none of one that is too short for it.
    assert every(100_000, 4096) == 500
    assert every(99, 256) == 0
    assert every(99, 256, every_steps=7) == 7
    assert every(99, 256, every_steps=0) == 0
    with pytest.raises(ValueError, match="must be at least 0 and images at least 8"):
        Health(images=4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run with probes and pictures of its features, and one without."""
    folder = tmp_path_factory.mktemp("runs")
    for name, every in (("with", 2), ("without", 0)):
        words = [*BARE, f"Health.every_steps = {every}", "Health.images = 64"]
        words += [f"FeaturePictures.times = {every}"]
        launch.train(str(folder / name), TINY, words, precision="float32")
    return folder


def test_probes_and_pictures_change_nothing(runs):
    digests = {
        run_dir.read_json(runs / name / run_dir.RUN)["weights_digest"]
        for name in ("with", "without")
    }
    assert len(digests) == 1
    assert not (runs / "without" / run_dir.HEALTH).exists()


def test_what_a_run_keeps(runs):
    rows = run_dir.read_lines(runs / "with" / run_dir.HEALTH)
    assert [row["step"] for row in rows] == [0, 2, 4, 6, 8]
    assert {"features/std", "compared/std", "objective/information"} <= set(
        rows[0]["signs"]
    )
    assert run_dir.read_json(runs / "with" / run_dir.RUN)["health"] == {
        "step": 8,
        "state": "healthy",
        "seen": "",
    }
    (events,) = (runs / "with" / run_dir.TENSORBOARD).glob("events*")
    tags = {
        v.tag
        for e in tf.compat.v1.train.summary_iterator(str(events))
        for v in e.summary.value
    }
    assert {"health/state", "health/information", "features/rank"} <= tags
    # A method with prototypes shows them; features are looked at beside that.
    assert {"compared/std", "objective/loss", "prototypes", "retrievals"} <= tags
    bare = runs / "without" / run_dir.TENSORBOARD
    assert not (bare / "projector").exists()
    assert (bare.parents[1] / "with" / run_dir.TENSORBOARD / "projector").exists()


def test_a_resumed_run_gives_the_same_rows(runs, tmp_path):
    words = [*BARE, "Health.every_steps = 2", "Health.images = 64"]
    folder = tmp_path / "run"
    launch.train(str(folder), TINY, words, precision="float32")
    # As if it had been killed after the first epoch, with a row that is not saved for.
    for path in (folder / run_dir.CHECKPOINTS).glob("*8.npz"):
        path.unlink()
    record = run_dir.read_json(folder / run_dir.RUN)
    run_dir.write_json(folder / run_dir.RUN, {**record, "status": "running"})
    launch.train(str(folder), TINY, words, precision="float32")
    want = (runs / "with" / run_dir.HEALTH).read_text()
    assert (folder / run_dir.HEALTH).read_text() == want


def test_a_failed_stop_says_why(tmp_path):
    made = sign(collapsed=(0.5, None))
    watched = Watched(tmp_path, [1, 0.1, 0.1], made)
    watched.stop = True
    watched.look(0)
    watched.look(1)
    with pytest.raises(
        ValueError, match=r"has collapsed at step 2: objective/x is 0\.1"
    ):
        watched.look(2)


REPLICAS = """
import functools, pathlib, sys
from keras_ssl.core import distribute, run_dir
from keras_ssl.runs import launch, saved_batch
distribute.virtual_cpus(2)
# Two of them in one process collide.
distribute.make_strategy = functools.cache(distribute.make_strategy)
launch._report = lambda *given: None
folder, given = pathlib.Path(sys.argv[1]), dict(strategy="mirrored")
given |= dict(precision="float32")
files = ["methods/wmse.gin", "tiny.gin"]
for every in (0, 4):
    words = ["train.evaluation = None", f"Health.every_steps = {every}"]
    launch.train(str(folder / str(every)), files, words, **given)
files[0] = "methods/simclr.gin"
words += ["rate/cosine.base = 1e38", "rate/cosine.warmup_epochs = 0"]
try:
    launch.train(str(folder / "bad"), files, words, **given)
except FloatingPointError as error:
    (folder / "said").write_text(str(error))
"""


@pytest.mark.slow
def test_two_replicas(tmp_path):
    subprocess.run([sys.executable, "-c", REPLICAS, str(tmp_path)], check=True)
    without, probed = (run_dir.read_json(tmp_path / n / run_dir.RUN) for n in "04")
    assert without["weights_digest"] == probed["weights_digest"]
    rows = run_dir.read_lines(tmp_path / "4" / run_dir.HEALTH)
    # The probe is of the whole batch on one device, whatever trains.
    assert [row["step"] for row in rows] == [0, 4, 8]
    assert {row["state"] for row in rows} == {"healthy"}
    # All is kept for a replay on one device.
    (kept,) = (tmp_path / "bad" / run_dir.BAD).iterdir()
    assert saved_batch.steps(kept) == [1, 2]
    assert f"--run_dir={tmp_path / 'bad'} --step=2" in (tmp_path / "said").read_text()
