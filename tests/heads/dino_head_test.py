import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.heads.dino_head import DINOHead
from keras_ssl.heads.prototypes import Prototypes
from keras_ssl.optimizers import SGD

X = tf.random.stateless_normal([6, 5], [1, 2])


@pytest.mark.parametrize("norm_last_layer", [True, False])
def test_logits_are_cosines_times_lengths(norm_last_layer):
    head = DINOHead(7, (8, 4), norm_last_layer=norm_last_layer)
    logits = head(X)
    assert logits.shape == (6, 7)
    assert np.abs(logits).max() <= 1 + 1e-6
    head.last.kernel.assign(3.0 * head.last.kernel)
    np.testing.assert_allclose(head(X), logits, rtol=1e-4, atol=1e-6)
    names = [v.name for v in head.last.trainable_variables]
    assert names == ["kernel"] + ["scale"] * (not norm_last_layer)
    if not norm_last_layer:
        head.last.scale.assign(2.0 * head.last.scale)
        np.testing.assert_allclose(head(X), 2.0 * logits, rtol=1e-4, atol=1e-6)


def test_head_maps_tokens_and_class_tokens_alike():
    head = DINOHead(7, (8, 4))
    tokens = tf.reshape(X, [2, 3, 5])
    np.testing.assert_allclose(
        tf.reshape(head(tokens), [6, 7]), head(X), rtol=1e-4, atol=1e-6
    )


def test_norms_see_the_batch():
    head = DINOHead(7, (8, 4), norm=True)
    alone = head(X[:2], training=True)
    assert np.abs(head(X, training=True)[:2] - alone).max() > 1e-3


def test_head_refuses_what_is_no_head():
    with pytest.raises(ValueError, match="at least 2 outputs and a bottleneck"):
        DINOHead(1)
    with pytest.raises(ValueError, match="at least 2 outputs and a bottleneck"):
        DINOHead(8, ())


def test_heads_come_back_from_their_config():
    head = DINOHead(7, (8, 4), norm=True, norm_last_layer=False)
    copy = DINOHead.from_config(head.get_config())
    assert copy.get_config() == head.get_config()
    prototypes = Prototypes(9)
    assert Prototypes.from_config(prototypes.get_config()).count == 9


def test_prototypes_keep_their_length_when_trained():
    prototypes = Prototypes(9)
    optimizer = SGD(0.5)
    for _ in range(2):
        with tf.GradientTape() as tape:
            cosines = prototypes(X)
            loss = tf.reduce_sum(cosines[:, 0])
        kernel = prototypes.kernel.numpy()
        np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1.0, rtol=1e-6)
        want = X / np.linalg.norm(X, axis=1, keepdims=True) @ kernel
        np.testing.assert_allclose(cosines, want, rtol=1e-5, atol=1e-6)
        variables = prototypes.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, variables), variables, strict=True)
        )
    assert np.abs(prototypes.kernel.numpy()[:, 0] - kernel[:, 0]).max() > 1e-3


def test_prototypes_must_be_several():
    with pytest.raises(ValueError, match="at least 2 prototypes, got 1"):
        Prototypes(1)
