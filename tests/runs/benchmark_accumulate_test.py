import pytest

from keras_ssl.runs import benchmark, benchmark_accumulate


def test_a_row():
    mebibyte = 2**20
    least, most = ({"peak": n * mebibyte, "steps": mebibyte} for n in (100, 125))
    row = benchmark_accumulate._row(
        "8 in 2 chunks", 8, most, least, [0.4, 0.8, 0.6], [0.1, 0.2, 0.1], 4
    )
    assert (row["mebibytes"], row["times_the_memory"]) == (125, 1.25)
    # Turn by turn 2, 2 and 3 times as long for each image.
    assert (row["milliseconds"], row["times_the_time"]) == (600.0, 2.0)
    assert benchmark._cells(row)["goal"] == "1.3: reached"
    assert benchmark._cells({**row, "times_the_memory": 1.31})["goal"].endswith(
        "not reached"
    )


@pytest.mark.slow
def test_every_case_is_measured(monkeypatch):
    # Processes of their own cost half a minute, and here nobody asks for the numbers.
    monkeypatch.setattr(benchmark_accumulate, "_alone", lambda f, *args: f(*args))
    rows = benchmark_accumulate.suite(batch_size=8, chunk=4, rounds=1)
    assert [row["batch_size"] for row in rows] == [4, 8, 8]
    assert all(set(row) <= set(benchmark.COLUMNS) for row in rows)
    assert all(row["mebibytes"] > row["mebibytes_of_steps"] >= 0 for row in rows)
    assert ["milliseconds" in row for row in rows] == [True, True, False]
