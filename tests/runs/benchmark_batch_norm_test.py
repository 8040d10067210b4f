import numpy as np
import pytest

from keras_ssl.runs import benchmark_batch_norm as module


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows(dtype):
    shapes = [(2, 3, 3, 4), (4, 2, 2, 8)]
    rows = module.benchmark(shapes, dtype, rounds=1, repeats=1)
    assert [row["shape"] for row in rows] == shapes
    for row in rows:
        assert row["dtype"] == dtype
        assert row["ratio"] == row["ours_ms"] / row["fused_ms"]
        assert row["processor_ratio"] > 0


def test_both_compute_the_same():
    x = np.random.default_rng(0).normal(size=(4, 3, 3, 5)).astype(np.float32)
    ours, fused = (
        module._step(make(5, "float32"))(x) for make in (module._ours, module._fused)
    )
    assert len(ours) == len(fused) == 3
    for mine, theirs in zip(ours, fused, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.proof
def test_ours_is_not_slower_by_more_than_a_twentieth():
    for row in module.benchmark(rounds=60, repeats=2):
        assert min(row["ratio"], row["processor_ratio"]) < 1.05, row
