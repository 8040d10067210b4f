import pytest

from keras_ssl.runs import benchmark, benchmark_streamed


def test_times_and_peaks_are_measured(monkeypatch):
    asked = []

    def peak(*size_and_chunk):
        asked.append(size_and_chunk)
        return 70.0

    monkeypatch.setattr(benchmark_streamed, "_peak_elsewhere", peak)
    rows = benchmark_streamed.rows([(8, 32)], (None, 5), rounds=1)
    assert asked == [(8, 32, None), (8, 32, 5)]
    first, second, _, memory = rows
    assert (first["share"], first["goal"]) == (1.0, None)
    assert min(second["share"], second["milliseconds"]) > 0
    assert benchmark._cells(second)["goal"].startswith("1.5: ")
    assert benchmark._cells(memory)["goal"] == "64.0: not reached"


@pytest.mark.slow
def test_a_process_of_its_own_sees_what_a_step_takes():
    """All columns at once hold the logits, 1024 x 16384 floats; a stream does not."""
    whole, part = (
        benchmark_streamed._peak_elsewhere(1024, 16384, chunk) for chunk in (None, 1024)
    )
    assert whole > 64
    assert part < 64


def test_rounds_are_positive():
    with pytest.raises(ValueError, match="rounds must be positive, got 0"):
        benchmark_streamed.rows(rounds=0)
