import importlib

import numpy as np
import pytest

from keras_ssl import metrics

BOX = np.array([[10.0, 20.0, 30.0, 60.0]])
NONE = np.zeros((0, 4))


def boxes(*rows):
    return np.array(rows, np.float64)


def scored(truth, found, classes=1):
    return metrics.detection_scores(truth, found, classes)


def test_what_is_found_exactly_scores_1():
    truth = [(BOX, [0]), (boxes([0, 0, 1, 1], [2, 2, 5, 9]), [0, 2]), (NONE, [])]
    found = [(b, np.full(len(b), 0.3), c) for b, c in truth]
    got = scored(truth, found, classes=4)
    assert got[:3] == pytest.approx((1, 1, 1))
    # Of classes that truth has none of nothing is said.
    np.testing.assert_allclose(got.by_class, [1, np.nan, 1, np.nan])


@pytest.mark.parametrize(("score", "ap"), [(0.8, 0.5), (0.6, 1.0)])
def test_a_surer_mistake_halves_precision(score, ap):
    # Of one box: precision is 1/2 at every recall if the mistake comes first.
    found = [(np.concatenate([BOX, BOX + 100]), [0.7, score], [0, 0])]
    assert scored([(BOX, [0])], found)[:3] == pytest.approx((ap,) * 3)


def test_a_box_that_is_missed():
    # Recall never exceeds 1/2: of the recalls 0, 0.01, ... 1 that is 51 of 101.
    got = scored([(BOX, [0]), (BOX, [0])], [(BOX, [0.9], [0]), (NONE, [], [])])
    assert got[:3] == pytest.approx((51 / 101,) * 3)


@pytest.mark.parametrize(
    ("width", "ap", "ap50", "ap75"),
    # IoU 0.6: right at 0.5, 0.55 and 0.6; 0.8: at seven thresholds of ten.
    [(0.61, 0.3, 1, 0), (0.81, 0.7, 1, 1), (0.49, 0, 0, 0)],
)
def test_thresholds_of_overlap(width, ap, ap50, ap75):
    part = BOX * 1.0
    part[0, 3] = part[0, 1] + width * (BOX[0, 3] - BOX[0, 1])
    found = [(part, [0.5], [0])]
    assert scored([(BOX, [0])], found)[:3] == pytest.approx((ap, ap50, ap75))


def test_a_box_is_found_once_and_in_its_class_and_image():
    twice = [(np.concatenate([BOX, BOX]), [0.9, 0.8], [0, 0]), (BOX, [0.85], [0])]
    # Right, then two mistakes, then right again: recall 1 at precision 2/4.
    truth = [(BOX, [0]), (BOX + 50, [0])]
    found = [twice[0], (np.concatenate([BOX, BOX + 50]), [0.85, 0.1], [0, 0])]
    want = (51 + 50 * 0.5) / 101
    assert scored(truth, found).ap == pytest.approx(want)
    assert scored([(BOX, [0])], [(BOX, [0.9], [1])], 2).ap == 0
    assert scored([(BOX, [0])], [(NONE, [], [])]).ap == 0


def case(seed, images=12, classes=3):
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(images):
        count = rng.integers(0, 6)
        start = rng.uniform(0, 60, (count, 2))
        b = np.concatenate([start, start + rng.uniform(5, 40, (count, 2))], 1)
        truth.append((b, rng.integers(0, classes, count)))
        keep = rng.permutation(np.repeat(np.arange(count), 2))[: count + 2]
        near = b[keep] + rng.normal(size=(len(keep), 4)) * 3
        labels = np.where(rng.random(len(keep)) < 0.8, truth[-1][1][keep], 0)
        found.append((near, rng.random(len(keep)), labels))
    return truth, found


def test_it_is_cocoeval_run_by_hand(capsys):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = case(0)
    got = scored(truth, found, 3)
    assert capsys.readouterr().out == ""
    gt, rows = COCO(), []
    for i, (b, labels) in enumerate(truth):
        for (y0, x0, y1, x1), label in zip(b, labels, strict=True):
            size = {"area": (y1 - y0) * (x1 - x0), "iscrowd": 0, "id": len(rows) + 1}
            place = {"image_id": i, "category_id": int(label) + 1}
            rows.append({"bbox": [x0, y0, x1 - x0, y1 - y0], **size, **place})
    gt.dataset = {
        "info": {},
        "images": [{"id": i} for i in range(len(truth))],
        "categories": [{"id": i} for i in (1, 2, 3)],
        "annotations": rows,
    }
    gt.createIndex()
    table = [
        [i, x0, y0, x1 - x0, y1 - y0, score, label + 1]
        for i, (b, s, labels) in enumerate(found)
        for (y0, x0, y1, x1), score, label in zip(b, s, labels, strict=True)
    ]
    run = COCOeval(gt, gt.loadRes(np.array(table)), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    assert 0.1 < run.stats[0] < 0.9
    assert got[:3] == pytest.approx(tuple(run.stats[:3]), abs=1e-12)
    want = run.eval["precision"][:, :, :, 0, 2].mean(axis=(0, 1))
    np.testing.assert_allclose(got.by_class, want)


def test_mistakes():
    with pytest.raises(ValueError, match="None of the 2 images has a box"):
        scored([(NONE, [])] * 2, [(BOX, [0.5], [0])] * 2)
    with pytest.raises(ValueError, match="1 images and detections have 2"):
        scored([(BOX, [0])], [(BOX, [0.5], [0])] * 2)
    with pytest.raises(ValueError, match=r"in \[0, 2\), got 2 to 2"):
        scored([(BOX, [2])], [(BOX, [0.5], [0])], 2)
    with pytest.raises(ValueError, match="finite"):
        scored([(BOX, [0])], [(BOX, [np.nan], [0])])


def test_without_pycocotools(monkeypatch):
    found = importlib.import_module

    def missing(name, *rest):
        if name.startswith("pycocotools"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return found(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"keras_ssl\[dense\]"):
        scored([(BOX, [0])], [(BOX, [0.5], [0])])
