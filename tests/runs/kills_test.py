"""A run that is killed at any moment goes on, and ends as one that never stopped."""

import json
import pathlib
import subprocess
import sys

import pytest

from keras_ssl.core import run_dir
from tests import harness, kills

NAMES = sorted(pathlib.Path(harness.recipe(e)).stem for e in harness.methods())
CASES = kills.cases(NAMES)
HALF = kills.half(NAMES)
REST = sorted({*CASES} - {*HALF})
# When the runs save, see `kills.WORDS`.
SAVED = (0, 0, 3, 4, 7, 8)


def killed(out, cases):
    """What became of cases, which one process runs; by recipe and devices."""
    code = "from tests import kills; kills.main()"
    words = [str(out), *map(json.dumps, cases)]
    root = pathlib.Path(kills.__file__).parents[1]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    told = run_dir.read_lines(out / "told.jsonl")
    return {(t["recipe"], t["devices"]): t for t in told}


def holds(told):
    """Whether a run that was killed left what an unbroken one did."""
    log = pathlib.Path(f"{told['broken']}.log")
    said = log.read_text()[-2000:] if log.exists() else ""
    assert (told["unbroken"], told["resumed"]) == (0, 0), said
    whole, broken = kills.left(told["whole"]), kills.left(told["broken"])
    for name, value in whole.items():
        assert broken[name] == value, f"{name} of {told}"
    return run_dir.read_json(pathlib.Path(told["broken"]) / run_dir.RUN)


def check(told):
    record = holds(told)
    assert told["killed"] == -9
    assert record["resumed"] == 1
    (at,) = record["resumed_at"]
    if told["place"]["phase"] == "step":
        # The last one, or the one before while the last is being written.
        assert at in [step for step in SAVED if step <= told["place"]["count"]][-2:]


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    return killed(tmp_path_factory.mktemp("half"), [CASES[key] for key in HALF])


@pytest.fixture(scope="module")
def rest(tmp_path_factory):
    return killed(tmp_path_factory.mktemp("rest"), [CASES[key] for key in REST])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "devices"), HALF)
def test_a_killed_run_ends_as_an_unbroken_one(half, name, devices):
    check(half[name, devices])


@pytest.mark.proof
@pytest.mark.parametrize(("name", "devices"), REST)
def test_so_does_every_method_on_the_other_number_of_devices(rest, name, devices):
    check(rest[name, devices])


@pytest.mark.proof
def test_a_run_that_is_killed_again_and_again_ends_as_an_unbroken_one(tmp_path):
    case = {"what": "storm", "recipe": "mae", "words": [], "devices": 1}
    told = killed(tmp_path, [{**case, "seed": 6, "kills": 6}])["mae", 1]
    record = holds(told)
    # It may come to its end before all of them: files tell how far it is, not time.
    assert 4 <= told["killed"] <= 6
    assert record["resumed"] >= 3


def test_places_to_die_at_are_of_every_kind():
    places = [case["place"] for case in CASES.values()]
    assert {place["phase"] for place in places} == {*kills.PHASES, "score"}
    assert len({(p["phase"], p["count"]) for p in places}) > 12
    assert len(HALF) == len(NAMES) >= 20
    assert {devices for _, devices in HALF} == {1, 2}
