"""A linear probe that is exported with its encoder."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from keras_ssl.data import sources
from keras_ssl.evaluation.data import EvaluationData, Frozen
from keras_ssl.evaluation.linear import LinearProbe, standard, standardized
from keras_ssl.export.endpoints import Probe
from keras_ssl.runs import fits


@dataclasses.dataclass(frozen=True)
class ProbeData:
    """What a probe is fitted to.

    Args:
        data: A labelled source, such as `tfds:cifar10`.
        train_split: Split that it learns from.
        test_split: Split that it is scored on.
        data_dir: Where TFDS keeps data.
    """

    data: str
    train_split: str = "train"
    test_split: str = "test"
    data_dir: str | None = None

    @classmethod
    def of(
        cls, data: str | None, splits: Sequence[str], data_dir: str | None
    ) -> "ProbeData | None":
        """What flags say: None without data.

        Args:
            data: A labelled source, or None.
            splits: Names of two splits.
            data_dir: Where TFDS keeps data.

        Raises:
            ValueError: If there are not two splits.
        """
        if len(splits) != 2:
            raise ValueError(
                "A probe needs two splits, to learn from and to be scored on, such as "
                f"train,test; got {','.join(splits)!r}."
            )
        train, test = splits
        return None if data is None else cls(data, train, test, data_dir)


def fit(encoder: keras.Model, meta: dict[str, Any], on: ProbeData) -> Probe:
    """Fits logistic regression as the evaluation `linear` does, and scores it.

    Args:
        encoder: A built encoder.
        meta: Its record, see `encoders.read`.
        on: The data.

    Raises:
        ValueError: If there are no labels, or the data do not fit the encoder.
    """
    train, test = (
        sources.open_source(on.data, split, on.data_dir)
        for split in (on.train_split, on.test_split)
    )
    fits.check_fits(meta, train, meta["image_size"])
    found = EvaluationData(train, test, meta["image_size"]).features(Frozen(encoder))
    mean, scale = standard(found.train)
    f = standardized(found)
    weights, l2 = LinearProbe().fit(f)
    logits = f.test @ weights[:-1] + weights[-1]
    top1 = float((logits.argmax(axis=1) == f.test_labels).mean())
    about = {
        "Probe fitted to": f"`{train.name}`, split `{train.split}`, "
        f"{len(f.train):,} images",
        "Probe's top-1": f"{top1:.4f} on split `{test.split}`, {len(f.test):,} images",
        "Penalty": f"{l2:g}, chosen on a held-out part of train",
    }
    _, classes = train.need_labels("A probe")
    return Probe(weights, mean, scale, tuple(classes), about)
