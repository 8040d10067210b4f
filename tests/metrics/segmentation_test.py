import numpy as np
import pytest

from keras_ssl.metrics import segmentation


def test_a_case_by_hand():
    mask = np.array([[0, 0, 1, 1], [0, 255, 1, 2]])
    said = np.array([[0, 1, 1, 1], [0, 2, 0, 2]])
    table = segmentation.confusion(said, mask, 4)
    want = [[2, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(table, want)
    # Both, over either: 2 of 4, 2 of 4, 1 of 1, and no pixel at all.
    got = segmentation.intersection_over_union(table)
    np.testing.assert_allclose(got, [0.5, 0.5, 1.0, np.nan])
    assert segmentation.mean_iou(table) == pytest.approx(2 / 3)
    assert segmentation.pixel_accuracy(table) == pytest.approx(5 / 7)
    np.testing.assert_allclose(
        segmentation.dice(table), [4 / 6, 4 / 6, 1.0, np.nan], rtol=1e-12
    )


def test_a_class_that_is_only_said_costs_the_others_alone():
    table = segmentation.confusion(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), 3)
    # Of class 2 nothing is there: 1 of 3 and 1 of 3.
    assert segmentation.intersection_over_union(table)[2] == 0
    assert segmentation.mean_iou(table) == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_parts_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    mask, said = rng.integers(0, 5, (2, 6, 7, 8))
    whole = segmentation.confusion(said, mask, 4 + 1)
    parts = [segmentation.confusion(said[i], mask[i], 5) for i in range(6)]
    np.testing.assert_array_equal(sum(parts), whole)
    for i in range(5):
        for j in range(5):
            assert whole[i, j] == np.sum((mask == i) & (said == j))


def test_what_has_no_score_is_said():
    ignored = segmentation.confusion(np.zeros((2, 2), int), np.full((2, 2), 255), 2)
    with pytest.raises(ValueError, match="No pixel counts"):
        segmentation.mean_iou(ignored)
    with pytest.raises(ValueError, match=r"same shape, got \(1,\) and \(2,\)"):
        segmentation.confusion(np.zeros(1, int), np.zeros(2, int), 2)
    with pytest.raises(ValueError, match=r"in \[0, 2\), got 0 to 2"):
        segmentation.confusion(np.array([0, 2]), np.zeros(2, int), 2)
