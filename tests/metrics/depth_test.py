import numpy as np
import pytest

from keras_ssl.metrics import depth


def test_a_case_by_hand():
    true = np.array([[2.0, 4.0], [1.0, 0.0]])
    # 1.2 times, half, 1.6 times, and not known.
    said = np.array([[2.4, 2.0], [1.6, 9.0]])
    got = depth.scores([depth.sums(said, true)])
    assert list(got) == list(depth.NAMES)
    assert got["delta1"] == pytest.approx(1 / 3)
    # 1.5625 and 1.953125: 1.6 and 2 are beyond the first, 2 beyond both.
    assert got["delta2"] == pytest.approx(1 / 3)
    assert got["delta3"] == pytest.approx(2 / 3)
    assert got["rms"] == pytest.approx(np.sqrt((0.4**2 + 2**2 + 0.6**2) / 3))
    assert got["rel"] == pytest.approx((0.2 + 0.5 + 0.6) / 3)


def test_exactly_so_far_is_too_far():
    got = depth.scores([depth.sums(np.array([1.25, 1.0]), np.array([1.0, 1.0]))])
    assert (got["delta1"], got["delta2"]) == (0.5, 1.0)


def test_parts_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    said, true = rng.uniform(0.5, 2.0, (2, 5, 4, 3))
    true[true < 0.8] = 0.0
    parts = [depth.sums(said[i], true[i]) for i in range(5)]
    whole = depth.scores([depth.sums(said, true)])
    assert depth.scores(parts) == pytest.approx(whole)
    known = true > 0
    rel = np.mean(np.abs(said - true)[known] / true[known])
    assert whole["rel"] == pytest.approx(rel)


def test_what_has_no_score_is_said():
    nothing = depth.sums(np.ones((2, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="known of no pixel"):
        depth.scores([nothing, nothing])
    with pytest.raises(ValueError, match=r"same shape, got \(1,\) and \(2,\)"):
        depth.sums(np.ones(1), np.ones(2))
    with pytest.raises(ValueError, match=r"must be positive, got 0\.0"):
        depth.sums(np.array([0.0]), np.ones(1))
