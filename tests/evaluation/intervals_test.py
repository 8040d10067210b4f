import numpy as np
import pytest
import scipy.stats

from keras_ssl.evaluation.intervals import interval


def test_interval_of_one_value_has_no_bounds():
    assert interval([0.5]) == (0.5, None, None)


def test_interval_of_two_is_their_range():
    mean, low, high = interval([0.5, 0.4])
    assert (low, high) == (0.4, 0.5)
    assert mean == pytest.approx(0.45)


@pytest.mark.parametrize("count", [3, 8])
def test_interval_of_more_is_students(count):
    values = np.random.default_rng(count).normal(0.6, 0.02, count)
    got = interval(list(values))
    error = scipy.stats.sem(values)
    want = scipy.stats.t.interval(0.95, count - 1, values.mean(), error)
    np.testing.assert_allclose(got, (values.mean(), *want), rtol=1e-12)


def test_interval_of_three_by_hand():
    # The 97.5 % quantile at two degrees of freedom is 4.302653, from tables.
    got = interval([1.0, 2.0, 3.0])
    np.testing.assert_allclose(got, (2, 2 - 2.484138, 2 + 2.484138), rtol=1e-6)


def test_interval_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        interval([])
