"""Readers of damaged files: no crash, no hang, bounded memory, everything counted."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="reads its peak of memory from /proc"
)
# What a reader may take beyond what it had before the first damaged file, MiB. The
# limit is of 2^20 pixels, 3 MiB; the bombs among the files are of up to 2.5 GiB.
GROWTH = 400


def fuzzed(root, kind, seed, count):
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz_child", kind, str(seed), str(count)],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
        timeout=1500,
    )
    # A negative one is the signal that it died of.
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(kind, found)  # noqa: T201 - the figures are for whoever looks.
    assert found["tried"] == count
    assert found["growth"] < GROWTH
    return found


@pytest.mark.slow
def test_images(pytestconfig):
    found = fuzzed(pytestconfig.rootpath, "images", 1, 6500)
    assert found["unreadable"] + found["read"] == found["tried"]
    assert found["unreadable"] > 1000
    assert found["read"] > 500
    assert found["other_shape"] == []
    assert found["of_unknown_size"] < 50
    assert found["largest"] <= 1 << 20
    assert found["whole_but_not_in_part"] == 0


@pytest.mark.slow
def test_tfrecords(pytestconfig):
    found = fuzzed(pytestconfig.rootpath, "tfrecords", 2, 1500)
    assert all(
        found["refused"][why] for why in ("wrong checksum", "not copied in full")
    )
    assert found["unreadable"] + found["read"] == found["records"]
    assert min(found["unreadable"], found["read"]) > 50


@pytest.mark.slow
def test_configurations(pytestconfig):
    found = fuzzed(pytestconfig.rootpath, "gin", 3, 2000)
    assert found["valid"] + found["refused"] == found["tried"]
    assert min(found["valid"], found["refused"]) > 50
    assert found["not_one_line"] == []
