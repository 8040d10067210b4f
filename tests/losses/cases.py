"""Every loss over a global batch, with inputs and the axis that replicas share out."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssl import losses

N, D, K = 8, 5, 7


@dataclasses.dataclass
class Case:
    """One call; `axes` is None for what all replicas hold."""

    function: Callable
    arrays: dict
    axes: dict
    rows: int | None = None  # The axis of the output's rows, if it has any.

    def share(self, replica, replicas):
        """The arguments of one replica."""
        found = {}
        for name, x in self.arrays.items():
            axis = self.axes[name]
            whole = axis is None or replicas == 1
            found[name] = x if whole else np.split(x, replicas, axis)[replica]
        return found

    def measure(self, args, divisor=1.0):
        """Outputs by name, and gradients of the first one's sum over `divisor`."""
        floats = {k: v for k, v in args.items() if v.dtype.is_floating}
        with tf.GradientTape() as tape:
            tape.watch(floats)
            out = self.function(**args)
            out = out if isinstance(out, dict) else {"out": out}
            first = tf.reduce_sum(next(iter(out.values()))) / divisor
        zero = tf.UnconnectedGradients.ZERO
        return out, tape.gradient(first, floats, unconnected_gradients=zero)


def _numbers(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _unit(shape, seed):
    x = _numbers(shape, seed)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _case(function, *, rows=None, **arguments):
    """Arguments are `(shape or array, axis)`."""
    arrays = {
        name: _numbers(x, seed) if isinstance(x, tuple) else np.asarray(x)
        for seed, (name, (x, _)) in enumerate(arguments.items())
    }
    axes = {name: axis for name, (_, axis) in arguments.items()}
    return Case(function, arrays, axes, rows)


def _msn(anchors, targets, prototypes, **options):
    """Anchors as `(v, n, d)`, so that they can be shared out."""
    anchors = tf.reshape(anchors, [-1, anchors.shape[-1]])
    return losses.msn(anchors, targets, prototypes, **options)


def _dissimilar_pairs(z1, z2, related, margin=4.0):
    loss, distance = losses.dissimilar_pairs(z1, z2, related, margin)
    return {"loss": loss, "distance": distance}


def _probabilities(shape, seed):
    return np.random.default_rng(seed).uniform(0.01, 0.5, shape).astype("float32")


_row = ((N, D), 0)
_two = {"z1": _row, "z2": _row}
_four = dict.fromkeys(("q1", "q2", "k1", "k2"), _row)
_scores = ((4, N, K), 1)
_queue = (_unit((11, D), 9), None)
_similar = (np.float32([0, 1, 0, 0, 1, 1, 1, 1]), 0)
_pairs = {"x1": _row, "x2": (0.3 * _numbers((N, D), 1), 0), "y": _similar}
_ids = (np.int32([0, 3, -1, 6, -1, -1, -1, 2]), 0)
_masks = np.float32(np.random.default_rng(3).uniform(size=(2, N, 3)) < 0.4)
_masks[:, 2] = 0
_msn_arguments = {
    "anchors": ((2, N, D), 1),
    "targets": _row,
    "prototypes": ((K, D), None),
}
_query = {"query": _row, "positive_key": _row, "negative_keys": _queue}
_partial = functools.partial

CASES = {
    "barlow_twins": _case(losses.barlow_twins, **_two),
    "byol_regression": _case(losses.byol_regression, prediction=_row, target=_row),
    "contrastive_pair": _case(losses.contrastive_pair, **_pairs),
    "cpc_accuracy": _case(losses.cpc_accuracy, context_predictions=_row, targets=_row),
    "cpc_info_nce": _case(losses.cpc_info_nce, context_predictions=_row, targets=_row),
    "cross_correlation": _case(losses.cross_correlation, **_two),
    "deepcluster_v2": _case(
        losses.deepcluster_v2, scores=((N, K), 0), assignments=_ids
    ),
    "densecl": _case(
        losses.densecl,
        q_grid=((N, 3, D), 0),
        k_grid=((N, 3, D), 0),
        q_backbone=((N, 3, 4), 0),
        k_backbone=((N, 3, 4), 0),
        negative_keys=_queue,
    ),
    "dino": _case(
        losses.dino,
        student_logits=_scores,
        teacher_logits=((2, N, K), 1),
        center=((1, K), None),
    ),
    "dissimilar_pairs": _case(
        _dissimilar_pairs, z1=_row, z2=_row, related=(np.eye(N, dtype=bool), 0)
    ),
    "distillation": _case(
        _partial(losses.distillation, temperature=2.0),
        student_logits=((N, K), 0),
        teacher_logits=((N, K), 0),
    ),
    "ibot": _case(
        losses.ibot,
        student_cls=_scores,
        student_patch=((2, N, 3, D), 1),
        teacher_cls=((2, N, K), 1),
        teacher_patch=((2, N, 3, D), 1),
        masks=(_masks, 1),
        center=((1, K), None),
        patch_center=((1, 1, D), None),
    ),
    "ibot_patch": _case(
        losses.ibot_patch,
        student=((2, N, 3, D), 1),
        teacher=((2, N, 3, D), 1),
        masks=(_masks, 1),
        center=((1, 1, D), None),
    ),
    "info_nce": _case(losses.info_nce, **_query),
    "info_nce_accuracy": _case(losses.info_nce_accuracy, **_query),
    "info_nce_streamed": _case(
        _partial(losses.info_nce_with_accuracy, chunk=4), **_query
    ),
    "info_nce_with_accuracy": _case(losses.info_nce_with_accuracy, **_query),
    "koleo": _case(losses.koleo, features=_row),
    "moco_v3": _case(_partial(losses.moco_v3, temperature=0.2), **_four),
    "moco_v3_streamed": _case(
        _partial(losses.moco_v3_with_accuracy, temperature=0.2, chunk=2), **_four
    ),
    "moco_v3_with_accuracy": _case(losses.moco_v3_with_accuracy, **_four),
    "msn": _case(_msn, **_msn_arguments),
    "msn_sinkhorn": _case(_partial(_msn, use_sinkhorn=True), **_msn_arguments),
    "nce": _case(
        _partial(losses.nce, num_instances=20, num_noise=3),
        pos_scores=(_probabilities((N,), 0), 0),
        noise_scores=(_probabilities((N, 3), 1), 0),
    ),
    "nnclr": _case(losses.nnclr, projections=_row, predictions=_row, queue=_queue),
    "nt_xent": _case(losses.nt_xent, **_two),
    "nt_xent_accuracy": _case(losses.nt_xent_accuracy, **_two),
    "nt_xent_queue": _case(losses.nt_xent, **_two, negative_keys=_queue),
    "nt_xent_streamed": _case(
        _partial(losses.nt_xent_with_accuracy, chunk=3), **_two, negative_keys=_queue
    ),
    "nt_xent_with_accuracy": _case(losses.nt_xent_with_accuracy, **_two),
    "pair_distances": _case(losses.pair_distances, **_pairs),
    "prototype_usage": _case(losses.prototype_usage, assignments=((N, K), 0)),
    "ressl": _case(losses.ressl, query=_row, key=_row, queue=_queue),
    "simsiam": _case(losses.simsiam, p1=_row, p2=_row, z1=_row, z2=_row),
    "sinkhorn": _case(losses.sinkhorn, scores=((N, K), 0), rows=0),
    "sinkhorn_shared": _case(
        losses.sinkhorn, scores=((2, N, K), 1), shared=((2, 5, K), None), rows=1
    ),
    "swapped_prediction": _case(
        losses.swapped_prediction,
        scores=_scores,
        assignments=(_probabilities((2, N, K), 1), 1),
    ),
    "swav": _case(losses.swav, scores1=((N, K), 0), scores2=((N, K), 0)),
    "swav_multicrop": _case(
        _partial(losses.swav_multicrop, assign_crops=[0, 2]), scores=_scores
    ),
    "teacher_entropy": _case(
        losses.teacher_entropy, teacher_logits=((N, K), 0), center=((1, K), None)
    ),
    "update_center": _case(
        losses.update_center, center=((1, K), None), teacher_logits=((2, N, K), 1)
    ),
    "vicreg": _case(losses.vicreg, **_two),
    "wmse": _case(losses.wmse, **_two),
    "wmse_euclidean": _case(_partial(losses.wmse, eps=0.1, normalize=False), **_two),
}
