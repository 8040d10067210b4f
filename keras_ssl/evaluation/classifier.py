"""What a classifier says: its features are the logits of the classes."""

import dataclasses
from typing import Any, ClassVar

from keras_ssl.core.registry import register
from keras_ssl.evaluation.data import Encode, EvaluationData
from keras_ssl.evaluation.fine_tune import accuracies
from keras_ssl.evaluation.per_image import Outcome, PerImage, outcome


@register("evaluation", "classifier")
@dataclasses.dataclass(frozen=True)
class Classifier(PerImage):
    """Top-1 of an encoder that ends in a layer of classes; nothing is learned.

    For what was fine-tuned or distilled, such as by `tools/simclr_v2.py`.
    """

    score: ClassVar[str] = "top1"

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `top1`, and `top5` where there are more classes.

        Raises:
            ValueError: If the features are not as many as the classes.
        """
        _, classes = data.test.need_labels("A classifier's score")
        logits, labels, index = data.split(encode, data.test, data.test_limit)
        if logits.shape[1] != len(classes):
            raise ValueError(
                f"The encoder has {logits.shape[1]} outputs and {data.test.name!r} "
                f"{len(classes)} classes: it is no classifier of them. Take knn or "
                "linear, or fine-tune it first."
            )
        return outcome(index, lambda rows: accuracies(logits[rows], labels[rows]))

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {"features": "logits"}
