import json

import pytest

from keras_ssl.core import cluster

TWO = ["a:1", "b:2"]


def config(jobs, task):
    return json.dumps({"cluster": jobs, "task": task})


def task(index=0, job="worker"):
    return {"type": job, "index": index}


def test_workers_in_their_order():
    found = cluster.parse(config({"worker": TWO}, task(1)))
    assert found == cluster.Cluster(("a:1", "b:2"), ("worker 0", "worker 1"), 1)
    assert found.name(1) == "worker 1 (b:2)"


def test_a_chief_comes_first():
    jobs = {"worker": TWO, "chief": ["[::1]:3"]}
    found = cluster.parse(config(jobs, task(0)))
    assert found.addresses == ("[::1]:3", "a:1", "b:2")
    assert found.names == ("chief", "worker 0", "worker 1")
    assert found.index == 1
    assert cluster.parse(config(jobs, task(0, "chief"))).index == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[1]", "must be a JSON object, got '[1]'"),
        ("{}", "needs a 'cluster'"),
        (config({}, task()), "needs a 'cluster'"),
        (config({"ps": TWO}, task()), "jobs chief and worker, got ps"),
        (config({"worker": []}, task()), "list of addresses for 'worker', got []"),
        (config({"worker": "a:1"}, task()), "list of addresses"),
        (config({"chief": [], "worker": TWO}, task()), "addresses for 'chief'"),
        (config({"chief": TWO}, task(0, "chief")), "may name one chief, got 2"),
        (config({"worker": TWO}, task(0, "chief")), "is a 'chief'; its cluster has w"),
        (config({"worker": ["a:1", "a:1"]}, task()), "names 'a:1' twice"),
        (config({"worker": TWO, "chief": ["a:1"]}, task()), "names 'a:1' twice"),
        (config({"worker": ["a", "b:1"]}, task()), "'host:port', got 'a'"),
        (config({"worker": ["a:x"]}, task()), "'host:port', got 'a:x'"),
        (config({"worker": ["a:70000"]}, task()), "'host:port', got 'a:70000'"),
        (config({"worker": [":1"]}, task()), "'host:port', got ':1'"),
        (json.dumps({"cluster": {"worker": TWO}}), "needs a 'task'"),
        (config({"worker": TWO}, {"index": 0}), "needs a 'type' and an 'index'"),
        (config({"worker": TWO}, {"type": "worker"}), "needs a 'type' and an 'index'"),
        (config({"worker": TWO}, task(2)), "is worker 2; its cluster has 2 of them"),
        (config({"worker": TWO}, task(-1)), "is worker -1"),
        (config({"worker": TWO}, task("0")), "is worker '0'"),
        (config({"worker": TWO}, task(True)), "is worker True"),
    ],
)
def test_what_is_amiss_is_said(text, words):
    with pytest.raises(ValueError, match=r"^TF_CONFIG .*another index for each") as got:
        cluster.parse(text)
    assert words in str(got.value)
    assert "\n" not in str(got.value)


@pytest.mark.parametrize("text", [None, "", " "])
def test_without_the_variable(monkeypatch, text):
    monkeypatch.delenv(cluster.VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(cluster.VARIABLE, text)
    with pytest.raises(
        ValueError, match=r"multiworker needs .* TF_CONFIG, which is not"
    ):
        cluster.read()


def test_from_the_variable(monkeypatch):
    monkeypatch.setenv(cluster.VARIABLE, config({"worker": TWO}, task(1)))
    assert cluster.read().index == 1
