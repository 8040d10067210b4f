import pytest

from keras_ssl.runs import benchmark, benchmark_save


@pytest.fixture
def measured(monkeypatch):
    """Saves that stand still for 2 s, or 0.5 s with steps that lose or gain some."""
    spent = {
        "in the background": [(0.5, 1.0), (0.4, 2.0), (0.6, -1.0)],
        "standing still": [(2.0, -0.1), (2.0, -0.3), (4.0, 0.1)],
    }
    monkeypatch.setattr(benchmark_save, "_alone", lambda *args: (2**20, 0.1, spent))
    return benchmark_save.rows(cases=["SimCLR, ResNet-50, LARS"])


def test_rows_tell_what_a_save_costs(measured):
    first, second = measured
    assert first["milliseconds_still"] == 500.0
    assert first["milliseconds_lost"] == 1500.0
    assert first["share"] == 0.005
    # Steps that were faster by chance are no gain.
    assert second["milliseconds_still"] == second["milliseconds_lost"] == 2000.0
    assert all(set(row) <= set(benchmark.COLUMNS) for row in measured)
    assert benchmark._cells(first)["goal"] == "0.01: reached"
    assert benchmark._cells({**first, "share": 0.011})["goal"].endswith("not reached")


@pytest.mark.slow
def test_a_case_is_measured(monkeypatch):
    monkeypatch.setattr(benchmark_save, "_alone", lambda f, *args: f(*args))
    case = ("methods/simclr.gin", ("image_size = 32",))
    monkeypatch.setattr(benchmark_save, "CASES", {"small": case})
    rows = benchmark_save.rows(1, ["small"])
    assert [r["contender"] for r in rows] == ["in the background", "standing still"]
    for row in rows:
        assert row["saved_mebibytes"] >= 1
        assert row["milliseconds_lost"] >= row["milliseconds_still"] > 0
