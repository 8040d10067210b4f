"""Average precision of detected boxes, as COCO measures it.

Lin et al. 2014, https://arxiv.org/abs/1405.0312, and cocodataset.org/#detection-eval;
computed by the authors' own pycocotools.
"""

import contextlib
import importlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

# Detections of an image that count, the best ones first.
MOST = 100


class DetectionScores(NamedTuple):
    """Average precisions in [0, 1]: means over the classes that truth has.

    `ap` is the mean over the thresholds of IoU 0.5, 0.55, ..., 0.95, `ap50` and `ap75`
    are those at one threshold; `by_class` `(classes,)` is `ap` of each class, not a
    number where truth has no box of it.
    """

    ap: float
    ap50: float
    ap75: float
    by_class: np.ndarray


def detection_scores(
    truth: Sequence[tuple[np.ndarray, np.ndarray]],
    found: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    num_classes: int,
) -> DetectionScores:
    """COCO's average precision of detections.

    Args:
        truth: Of each image its boxes `(m, 4)` as `y0, x0, y1, x1`, in any unit, and
            their classes `(m,)` in `[0, num_classes)`.
        found: Of each image boxes `(k, 4)` in the same unit, their scores `(k,)`, the
            higher the surer, and classes `(k,)`. The `MOST` best of a class count.
        num_classes: Number of classes.

    Returns:
        The scores.

    Raises:
        ValueError: If these are not equally many images, truth has no box, a class is
            unknown, or a score is not finite.
        ImportError: If pycocotools is not installed.
    """
    evaluator = need_pycocotools()
    if len(truth) != len(found):
        raise ValueError(
            f"Truth has {len(truth)} images and detections have {len(found)}; there "
            "must be one entry for each image in both."
        )
    if not sum(len(boxes) for boxes, _ in truth):
        raise ValueError(
            f"None of the {len(truth)} images has a box, so there is nothing to find "
            "and no average precision. Take images with boxes."
        )
    for labels in (*(row[1] for row in truth), *(row[2] for row in found)):
        if len(labels) and not 0 <= min(labels) <= max(labels) < num_classes:
            raise ValueError(
                f"Classes of boxes must be in [0, {num_classes}), got "
                f"{min(labels)} to {max(labels)}."
            )
    if not all(np.isfinite(scores).all() for _, scores, _ in found):
        raise ValueError("Scores of detections must be finite numbers.")
    # pycocotools prints what it does.
    with contextlib.redirect_stdout(io.StringIO()):
        wanted = _annotated([(b, None, c) for b, c in truth], num_classes)
        got = _annotated(found, num_classes)
        run = evaluator(wanted, got, "bbox")
        run.params.areaRng, run.params.areaRngLbl = [[0.0, 1e10]], ["all"]
        run.params.maxDets = [MOST]
        run.evaluate()
        run.accumulate()
    return _scores(run)


def need_pycocotools() -> Any:
    """The class `COCOeval`.

    Raises:
        ImportError: If pycocotools is not installed.
    """
    try:
        return importlib.import_module("pycocotools.cocoeval").COCOeval
    except ImportError as error:
        raise ImportError(
            "Scores of detection need pycocotools, which is not installed: pip install "
            "'keras_ssl[dense]', or pip install 'pycocotools>=2.0.8'."
        ) from error


def _annotated(rows: Sequence[Any], num_classes: int) -> Any:
    """Boxes, perhaps scores, and classes of images as pycocotools holds them."""
    made = importlib.import_module("pycocotools.coco").COCO()
    annotations: list[dict[str, Any]] = []
    for image, (boxes, scores, labels) in enumerate(rows):
        for i, (y0, x0, y1, x1) in enumerate(np.asarray(boxes, np.float64).tolist()):
            annotations.append(
                {
                    # Not from 0, which means "not matched" to COCOeval.
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(labels[i]),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                    **({} if scores is None else {"score": float(scores[i])}),
                }
            )
    made.dataset = {
        "images": [{"id": image} for image in range(len(rows))],
        "categories": [{"id": i} for i in range(num_classes)],
        "annotations": annotations,
    }
    made.createIndex()
    return made


def _scores(run: Any) -> DetectionScores:
    """Means over thresholds, recalls and classes of what COCOeval accumulated."""
    # Thresholds, recalls, classes; -1 where truth has no box of a class.
    precision = run.eval["precision"][:, :, :, 0, 0]
    by_class = precision.mean(axis=(0, 1))
    by_class[by_class < 0] = np.nan
    known = precision[:, :, ~np.isnan(by_class)]
    ap50, ap75 = (
        float(known[np.isclose(run.params.iouThrs, threshold)].mean())
        for threshold in (0.5, 0.75)
    )
    return DetectionScores(float(known.mean()), ap50, ap75, by_class)
