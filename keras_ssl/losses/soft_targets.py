"""Losses that predict a teacher's distribution."""

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.losses import _crops, _rows


def distillation(
    student_logits: tf.Tensor, teacher_logits: tf.Tensor, temperature: float = 1.0
) -> tf.Tensor:
    """Cross entropy with a teacher's labels (SimCLRv2, eq. 2).

    Times the temperature squared, as in google-research/simclr
    colabs/distillation_self_training.ipynb; the paper has no factor.

    Args:
        student_logits: `(n, k)`.
        teacher_logits: `(n, k)`; no gradient flows to them.
        temperature: Positive divisor of both. Lower is sharper.

    Returns:
        Scalar: the mean over the `n` local rows; at least `teacher_entropy` of the
        same temperature, times its square.

    Raises:
        ValueError: If the shapes differ or `temperature` is not positive.
    """
    checks.positive(temperature=temperature)
    checks.rank(2, student_logits=student_logits)
    checks.same_shape(student_logits=student_logits, teacher_logits=teacher_logits)
    student = tf.cast(student_logits, tf.float32) / temperature
    errors = tf.nn.softmax_cross_entropy_with_logits(
        tf.nn.softmax(_teacher(teacher_logits, None, temperature)), student
    )
    return temperature**2 * tf.reduce_mean(errors)


def dino(
    student_logits: tf.Tensor,
    teacher_logits: tf.Tensor,
    center: tf.Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> tf.Tensor:
    """Predicts the teacher's centred, sharpened outputs across crops (DINO, eq. 1).

    Args:
        student_logits: `(v, n, k)` of `v` crops, the teacher's first.
        teacher_logits: `(2, n, k)` of the global crops; no gradient flows to them.
        center: `(1, k)` running mean of the teacher's logits, before its update.
        student_temperature: Positive divisor of the student's logits.
        teacher_temperature: Positive divisor of the teacher's, the lower one.

    Returns:
        Scalar: the mean over local rows and pairs of different crops; `log(k)` is
        chance.

    Raises:
        ValueError: If the shapes do not fit or a temperature is not positive.
    """
    checks.positive(
        student_temperature=student_temperature,
        teacher_temperature=teacher_temperature,
    )
    checks.rank(3, student_logits=student_logits, teacher_logits=teacher_logits)
    return _crops.across(
        tf.nn.softmax(_teacher(teacher_logits, center, teacher_temperature)),
        tf.cast(student_logits, tf.float32) / student_temperature,
        range(teacher_logits.shape[0]),
    )


def ibot(
    student_cls: tf.Tensor,
    student_patch: tf.Tensor,
    teacher_cls: tf.Tensor,
    teacher_patch: tf.Tensor,
    masks: tf.Tensor,
    center: tf.Tensor,
    patch_center: tf.Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
    teacher_patch_temperature: float = 0.04,
    lambda1: float = 1.0,
    lambda2: float = 1.0,
) -> dict[str, tf.Tensor]:
    """DINO's loss, and the same for hidden patches within a crop (iBOT, eq. 2 and 3).

    Each image's patch term is the mean over its hidden patches, 0 if it has none.

    Args:
        student_cls: `(v, n, k)` of `v` crops, the global ones first and masked.
        student_patch: `(2, n, l, p)` of the masked global crops.
        teacher_cls: `(2, n, k)` of the global crops, unmasked; no gradient flows to
            any output of the teacher.
        teacher_patch: `(2, n, l, p)` of the global crops, unmasked.
        masks: `(2, n, l)`, 1 where a patch was hidden from the student, of any dtype.
        center: `(1, k)` running mean of `teacher_cls`, before its update.
        patch_center: `(1, 1, p)` running mean of `teacher_patch`, likewise.
        student_temperature: Positive divisor of the student's logits.
        teacher_temperature: Positive divisor of `teacher_cls`.
        teacher_patch_temperature: Positive divisor of `teacher_patch`.
        lambda1: Weight of the first term, not negative.
        lambda2: Weight of the patch term, not negative.

    Returns:
        Scalars `loss`, the sum of `cls` and `patch`, which are weighted; means over
        the local rows.

    Raises:
        ValueError: If the shapes do not fit or a number is out of range.
    """
    checks.positive(teacher_patch_temperature=teacher_patch_temperature)
    checks.not_negative(lambda1=lambda1, lambda2=lambda2)
    cls = lambda1 * dino(
        student_cls, teacher_cls, center, student_temperature, teacher_temperature
    )
    patch = lambda2 * ibot_patch(
        student_patch,
        teacher_patch,
        masks,
        patch_center,
        student_temperature,
        teacher_patch_temperature,
    )
    return {"loss": cls + patch, "cls": cls, "patch": patch}


def ibot_patch(
    student: tf.Tensor,
    teacher: tf.Tensor,
    masks: tf.Tensor,
    center: tf.Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> tf.Tensor:
    """Cross-entropy of hidden patches to the teacher's patches (iBOT, eq. 2).

    Args:
        student: `(2, n, l, p)` logits of the masked global crops.
        teacher: `(2, n, l, p)` of the same crops, unmasked; no gradient flows to it.
        masks: `(2, n, l)`, 1 where a patch was hidden from the student, of any dtype.
        center: `(1, 1, p)` running mean of `teacher`, before its update.
        student_temperature: Positive divisor of `student`.
        teacher_temperature: Positive divisor of `teacher`.

    Returns:
        Scalar float32: each image's mean over its hidden patches, 0 if it has none,
        averaged over the local rows.

    Raises:
        ValueError: If the shapes do not fit or a number is out of range.
    """
    checks.positive(
        student_temperature=student_temperature, teacher_temperature=teacher_temperature
    )
    checks.rank(4, student=student)
    checks.same_shape(student=student, teacher=teacher)
    checks.rank(3, masks=masks)
    checks.same_leading(3, masks=masks, student=student)
    errors = tf.nn.softmax_cross_entropy_with_logits(
        tf.nn.softmax(_teacher(teacher, center, teacher_temperature)),
        tf.cast(student, tf.float32) / student_temperature,
    )
    masks = tf.cast(masks, tf.float32)
    hidden = tf.maximum(tf.reduce_sum(masks, axis=-1), 1.0)
    return tf.reduce_mean(tf.reduce_sum(errors * masks, axis=-1) / hidden)


def update_center(
    center: tf.Tensor, teacher_logits: tf.Tensor, momentum: float = 0.9
) -> tf.Tensor:
    """The center after a step (DINO, eq. 4).

    Args:
        center: `(..., k)`, before the step.
        teacher_logits: `(..., k)`; all axes but the last are averaged over, and the
            replicas.
        momentum: Share in [0, 1] that is kept of `center`.

    Returns:
        The new center, of the same shape, float32, without gradient.

    Raises:
        ValueError: If the widths differ or `momentum` is out of range.
    """
    checks.share(momentum=momentum)
    checks.same_width(center=center, teacher_logits=teacher_logits)
    logits, center = _rows.constant(teacher_logits), _rows.constant(center)
    mean = tf.reduce_mean(logits, axis=list(range(logits.shape.rank - 1)))
    return momentum * center + (1.0 - momentum) * distribute.mean(mean)


def teacher_entropy(
    teacher_logits: tf.Tensor,
    center: tf.Tensor | None = None,
    temperature: float = 0.04,
) -> tf.Tensor:
    """Mean entropy of the teacher's distributions.

    What is left of a cross entropy with them is the divergence of the student. Near 0
    or `log(k)`, with no divergence, tell of the two kinds of collapse.

    Args:
        teacher_logits: `(..., k)`.
        center: `(..., k)`, what is subtracted from them, if anything.
        temperature: Positive divisor.

    Returns:
        Scalar in [0, log(k)], nats: the local mean, without gradient.

    Raises:
        ValueError: If the widths differ or `temperature` is not positive.
    """
    checks.positive(temperature=temperature)
    log_p = tf.nn.log_softmax(_teacher(teacher_logits, center, temperature))
    return -tf.reduce_mean(tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1))


def _teacher(
    logits: tf.Tensor, center: tf.Tensor | None, temperature: float
) -> tf.Tensor:
    """Logits of the distributions to be predicted, float32, without gradient."""
    constant = _rows.constant(logits)
    if center is not None:
        checks.same_width(center=center, teacher_logits=logits)
        constant -= _rows.constant(center)
    return constant / temperature
