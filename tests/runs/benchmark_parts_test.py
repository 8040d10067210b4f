import pytest

from keras_ssl.runs import benchmark, benchmark_parts


def test_every_part_is_measured():
    rows = benchmark_parts.rows(batch_size=2, rounds=1)
    assert len(rows) == len({row["case"] for row in rows}) == 5
    for row in rows:
        assert min(row["milliseconds"], row["share"]) > 0
        cells = benchmark._cells(row)
        reached = row["share"] <= row["goal"]
        assert cells["goal"].endswith("not reached") != reached


def test_numbers_are_positive():
    with pytest.raises(ValueError, match="batch_size and rounds must be at least 1"):
        benchmark_parts.rows(batch_size=0)
