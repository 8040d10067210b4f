import json

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data import sources
from keras_ssl.runs import benchmark, benchmark_views

ROWS = [
    {
        "case": "a | b",
        "contender": "ours",
        "batch_size": 4,
        "images_per_second": 12.5,
        "ours_to_it": 1.0,
        "goal": None,
    },
    {
        "case": "a | b",
        "contender": "theirs",
        "batch_size": 4,
        "images_per_second": 2.5,
        "ours_to_it": 5.0,
        "goal": 5.0,
    },
]


def test_records_and_a_page_of_all_of_them(tmp_path, monkeypatch):
    slower = [{**ROWS[1], "ours_to_it": 4.99, "milliseconds": 3.0}]
    monkeypatch.setitem(benchmark.SUITES, "views", lambda: ROWS)
    monkeypatch.setitem(benchmark.SUITES, "batch_norm", lambda: slower)
    benchmark.run(["batch_norm"], str(tmp_path))
    shown = benchmark.run(["views"], str(tmp_path))
    assert [row["contender"] for row in shown] == ["ours", "theirs"]
    record = json.loads((tmp_path / "performance/views.json").read_text("utf-8"))
    assert record["rows"] == ROWS
    assert record["machine"]["cores"]
    page = (tmp_path / "performance.md").read_text("utf-8").splitlines()
    first = page.index("## batch_norm")
    second = page.index("## views")
    assert first < second
    tables = [line for line in page if line.startswith("|")]
    assert tables[2] == r"| a \| b | theirs | 4 | 3.0 | 2.5 | 4.99 | 5.0: not reached |"
    # No column that no row fills.
    assert tables[3:] == [
        "| case | contender | batch | images/s | ours, times as fast | goal |",
        "| --- | --- | ---: | ---: | ---: | --- |",
        r"| a \| b | ours | 4 | 12.5 | 1.0 |  |",
        r"| a \| b | theirs | 4 | 2.5 | 5.0 | 5.0: reached |",
    ]


def test_unknown_suite(tmp_path):
    with pytest.raises(ValueError, match=r"view.*views"):
        benchmark.run(["view"], str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_steps_and_batch_norms_have_the_columns_of_the_page(monkeypatch):
    step = {
        "encoder": "resnet18",
        "precision": "float32",
        "images_per_second": 8.0,
        "milliseconds": 500.0,
        "batch_size": 4,
    }
    found = [
        {**step, "layers": "plain Keras", "speedup": 1.0},
        {**step, "layers": "keras_ssl", "speedup": 1.5},
    ]
    monkeypatch.setattr(benchmark.benchmark_step, "rows", lambda **_: found)
    norm = {"shape": (8, 4, 4, 2), "dtype": "float32", "ours_ms": 4.0, "fused_ms": 2.0}
    monkeypatch.setattr(benchmark.benchmark_batch_norm, "benchmark", lambda: [norm])
    steps, norms = benchmark.SUITES["step"](), benchmark.SUITES["batch_norm"]()
    # What other suites measure stands between these and the goal.
    columns = list(benchmark.COLUMNS)
    del columns[columns.index("share") : columns.index("goal")]
    for row in steps + norms:
        assert list(row) == columns
    assert [(r["contender"], r["ours_to_it"]) for r in steps] == [
        ("keras_ssl", 1.0),
        ("plain Keras", 1.5),
    ]
    assert [r["ours_to_it"] for r in norms] == [1.0, 0.5]
    assert norms[0]["images_per_second"] == 2000.0
    assert norms[1]["goal"] == 0.95


def test_a_race_of_two():
    count = {"ours": 0, "theirs": 0}

    def runner(what, images):
        def one():
            count[what] += 1
            return images

        return one

    passes = {"ours": runner("ours", 4), "theirs": runner("theirs", 2)}
    rows = benchmark_views._race("case", passes, {"theirs": 5.0}, 4, 2, 0.0)
    # Three rounds pass over what is buffered, two of them count a batch.
    assert count == {what: 3 * benchmark_views._BUFFERED + 2 for what in count}
    assert [row["contender"] for row in rows] == ["ours", "theirs"]
    assert [row["goal"] for row in rows] == [None, 5.0]
    assert rows[0]["ours_to_it"] == 1.0
    for row in rows:
        assert row["images_per_second"] > 0
        assert set(row) <= set(benchmark.COLUMNS)


def test_rate(monkeypatch):
    ticks = iter([0.0, 0.5, 1.0, 2.0])
    monkeypatch.setattr(benchmark_views.time, "perf_counter", lambda: next(ticks))
    assert benchmark_views._rate(lambda: 8, 2.0) == 8.0


def test_passes():
    images = tf.constant(np.stack(benchmark_views.pictures(8, 16, 16)))
    layers = [lambda batch: tf.ensure_shape(batch, [4, 16, 16, 3])]
    assert benchmark_views._layers(images, layers, 4)() == 4
    files = tf.constant([tf.io.encode_jpeg(one).numpy() for one in images])
    source = sources.from_files("files", "train", 8, lambda i: tf.gather(files, i))
    assert benchmark_views._decoding(source, 4)() == 4


def test_pictures_cost_as_much_to_decode_as_photographs():
    made = benchmark_views.pictures(2, 375, 500)
    assert not np.array_equal(*made)
    for picture in made:
        assert picture.shape == (375, 500, 3)
        assert picture.dtype == np.uint8
        # ImageNet's files of this size and quality have some 110 kB.
        assert 70e3 < len(tf.io.encode_jpeg(picture, quality=90).numpy()) < 160e3
