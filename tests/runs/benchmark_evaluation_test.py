import numpy as np
import pytest

from keras_ssl.runs import benchmark, benchmark_evaluation


def test_times_losses_and_the_peak_are_measured(monkeypatch):
    asked = []

    def peak(size):
        asked.append(size)
        return 70.0

    monkeypatch.setattr(benchmark_evaluation, "_peak_elsewhere", peak)
    size, fit = (60, 10, 8), (300, 12, 3)
    rows = benchmark_evaluation.rows((size,), size, (fit,), rounds=1)
    assert asked == [size]
    (memory,) = (row for row in rows if "megabytes" in row)
    assert benchmark._cells(memory)["goal"] == "1024.0: reached"
    timed = [row for row in rows if "milliseconds" in row]
    cases = {row["case"] for row in timed}
    assert len(cases) == 5
    for case in cases:
        ours, theirs = [row for row in timed if row["case"] == case][:2]
        assert ours["goal"] is None
        assert theirs["goal"] == (5.0 if case.startswith("nearest") else 1.0)
        if "loss" in ours and "k-means" not in case:
            # Both solve the same problem.
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-3)
            assert ours["loss"] > 0.01


def test_contenders_agree():
    given = benchmark_evaluation.made(200, 50, 40, "decaying", 3)
    calls = benchmark_evaluation._neighbours(*given)
    ours, cosine, euclid = (call() for call, _ in list(calls.values())[:3])
    np.testing.assert_array_equal(ours, cosine)
    np.testing.assert_array_equal(ours, euclid)


@pytest.mark.slow
def test_neighbours_stay_in_bounded_memory():
    """All similarities would take 381 MB, and a copy of train 312."""
    assert benchmark_evaluation._peak_elsewhere((20000, 5000, 4096)) < 800


def test_rounds_are_positive():
    with pytest.raises(ValueError, match="rounds must be positive, got 0"):
        benchmark_evaluation.rows(rounds=0)
