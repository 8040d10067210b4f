import numpy as np
import pytest

from keras_ssl.evaluation.measures import eleven_point_map, mean_per_class, signs, top1

SCORES = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.3, 0.7, 0], [0.6, 0.4, 0]])


def test_a_rare_class_counts_as_much_as_another():
    labels = np.array([0, 0, 0, 1])
    assert top1(SCORES, labels) == 0.5
    # Two of three, and none of one; the third class has no example.
    assert mean_per_class(SCORES, labels) == pytest.approx((2 / 3 + 0) / 2)


def test_what_does_not_count_is_no_mistake():
    # The second class is found first of all, the first one second.
    labels = np.array([[-1, -1], [1, -1], [-1, 1], [-1, -1]])
    scores = SCORES[:, :2]
    # Precision 1/2 at every recall of the first class, 1 at the second's.
    assert eleven_point_map(scores, labels) == pytest.approx(0.75)
    labels[0, 0] = 0
    assert eleven_point_map(scores, labels) == pytest.approx(1.0)


def test_signs():
    np.testing.assert_array_equal(signs(np.array([1, 0]), 2), [[-1, 1], [1, -1]])
    given = np.array([[0, 1], [-1, 1]])
    np.testing.assert_array_equal(signs(given, 2), given)
