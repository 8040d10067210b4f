"""Broken methods collapse and are called so; the same recipes as they are stay well."""

import pytest

from keras_ssl.core import run_dir
from keras_ssl.runs import launch
from tests import collapsing

BARE = ("train.evaluation = None", "Health.every_steps = 20")


def rows(name, folder, *more):
    """`health.jsonl` of a run of 200 steps."""
    file, lines = collapsing.recipe(name, folder)
    plugins = [collapsing.PLUGIN] if name in collapsing.BROKEN else []
    bindings = [*lines, *BARE, *more]
    launch.train(
        str(folder / "run"), [file], bindings, precision="float32", plugins=plugins
    )
    return run_dir.read_lines(folder / "run" / run_dir.HEALTH)


@pytest.mark.slow
@pytest.mark.parametrize("name", collapsing.BROKEN)
def test_collapse_is_called_so(name, tmp_path):
    found = rows(name, tmp_path)
    assert [row["step"] for row in found] == list(range(0, 201, 20))
    # Not before there is something to see.
    assert found[0]["state"] == found[1]["state"] == "healthy"
    assert found[-1]["state"] == "collapsed", found[-1]
    record = run_dir.read_json(tmp_path / "run" / run_dir.RUN)
    assert record["health"]["state"] == "collapsed"
    assert record["health"]["step"] == 200
    # What was seen, and what to look for.
    assert " is " in record["health"]["seen"]
    assert "look" in record["health"]["seen"] or "too" in record["health"]["seen"]


@pytest.mark.slow
@pytest.mark.parametrize("name", collapsing.WHOLE)
def test_whole_methods_are_healthy_at_every_probe(name, tmp_path):
    found = rows(name, tmp_path)
    assert len(found) == 11
    assert {row["state"] for row in found} == {"healthy"}
    # At no single probe either.
    assert {row["level"] for row in found} == {"healthy"}


@pytest.mark.slow
def test_a_collapse_ends_the_run_if_asked(tmp_path):
    with pytest.raises(ValueError, match=r"has collapsed at step 1\d0: objective/info"):
        rows("DINOWithoutCenter", tmp_path, "Health.stop = True")
    record = run_dir.read_json(tmp_path / "run" / run_dir.RUN)
    assert (record["status"], record["health"]["state"]) == ("failed", "collapsed")
