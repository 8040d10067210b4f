"""Features that need no encoder, for tests of evaluations."""

import numpy as np

from keras_ssl.evaluation.data import Features


def features(n=150, m=60, d=12, classes=4, seed=0, spread=1.0):
    """Two splits of the same noisy classes."""
    rng = np.random.default_rng(seed)
    centers = spread * rng.normal(size=(classes, d))
    labels = np.concatenate([np.arange(classes)] * ((n + m) // classes + 1))[: n + m]
    rng.shuffle(labels)
    x = (centers[labels] + rng.normal(size=(n + m, d))).astype(np.float32)
    return Features(x[:n], labels[:n], x[n:], labels[n:], classes)


class Data:
    """Stands for `EvaluationData`; `order` shuffles the labels of test."""

    def __init__(self, order=None, **made):
        f = features(**made)
        if order is not None:
            f = f._replace(test_labels=f.test_labels[order])
        self.made = f

    def features(self, encode, several=False):
        assert encode == "encode"
        assert several or self.made.train_labels.ndim == 1
        return self.made
