"""What conformance cannot know of SwAV, DeepCluster-v2 and MSN: their own promises."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import schedules
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.encoders.vit import ViT
from keras_ssl.heads.mlp import MLP
from keras_ssl.heads.prototypes import Prototypes
from keras_ssl.methods.deepcluster_v2 import DeepClusterV2
from keras_ssl.methods.msn import MSN
from keras_ssl.methods.swav import SwAV
from tests import harness

ROWS, PER_EPOCH = 8, 3


def batch(step=0, seed=None):
    """A batch of 24 images in all, the same ones each epoch; two sizes of views."""
    first = step % PER_EPOCH * ROWS
    images = tf.cast(harness.images(3 * ROWS)[first : first + ROWS], tf.float32) / 255
    noise = np.random.default_rng(step if seed is None else seed)
    views = [images + noise.uniform(0, 0.1, images.shape) for _ in range(2)]
    views += [tf.image.resize(images, [16, 16]) + 0.02 * i for i in range(2)]
    index = tf.range(first, first + ROWS, dtype=tf.int64)
    seeds = tf.stack([tf.cast(index, tf.int32), tf.fill([ROWS], step)], axis=1)
    views = tuple(tf.cast(view, tf.float32) for view in views)
    return {"views": views, "seed": seeds, "index": index}


def ready(method, rate=1e-2):
    one = batch()
    spec = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), one)
    method.setup(spec, schedules.Clock(30, PER_EPOCH, PER_EPOCH * ROWS))
    method.compile(optimizer=keras.optimizers.SGD(rate))
    method.optimizer.build(method.trainable_variables)
    return method


def parts(seed=0):
    keras.utils.set_random_seed(seed)
    return SmallResNet((8, 16), (1, 1)), MLP((32, 8))


def swav(**more):
    return ready(SwAV(*parts(), Prototypes(12), **more))


def deepcluster(**more):
    return ready(DeepClusterV2(*parts(), 6, **more))


def msn(mask_ratio=0.5):
    keras.utils.set_random_seed(0)
    encoder = ViT(8, 24, 2, 3, image_size=32)
    momentum = schedules.cosine_momentum
    return MSN(encoder, MLP((32, 8)), Prototypes(12), momentum, mask_ratio)


def test_swav_uses_its_queue_from_an_epoch_on_and_not_before():
    with_queue, without = swav(queue_size=16, queue_from_epoch=1), swav()
    for step in range(PER_EPOCH + 1):
        losses = [
            float(method.train_step(batch(step))["loss"])
            for method in (with_queue, without)
        ]
        assert (losses[0] == losses[1]) == (step < PER_EPOCH)


def test_swav_assigns_its_queue_with_the_batch():
    method = swav(queue_size=16, queue_from_epoch=0)
    outputs = method.forward(batch())
    scores = tf.transpose(outputs["scores"], [1, 0, 2])[:2]
    rows = tf.reshape(method.queue.table, [16, 2, 8])
    for crop in range(2):
        both = tf.concat([scores[crop], method.prototypes(rows[:, crop])], axis=0)
        q = np.exp(np.asarray(both, np.float64) / method.epsilon)
        for _ in range(method.num_iters):
            q /= q.sum(axis=0) * 12
            q /= q.sum(axis=1, keepdims=True) * 24
        found = method._assign(scores, outputs["z"])[crop]
        np.testing.assert_allclose(found, 24 * q[:ROWS], rtol=1e-3, atol=1e-5)


def test_swav_keeps_its_prototypes_at_unit_length():
    method = swav()
    method.train_step(batch())
    lengths = np.linalg.norm(method.prototypes.kernel, axis=0)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-5)


def test_swav_takes_the_views_that_are_assigned_by_their_places():
    one = batch()
    views = one["views"]
    moved = {**one, "views": (views[2], views[3], views[0], views[1])}
    first, second = swav(), swav(assign_crops=(2, 3))
    np.testing.assert_allclose(
        first._loss(one)["loss"], second._loss(moved)["loss"], rtol=1e-4
    )


def test_pictures_are_the_images_nearest_to_used_prototypes():
    method = swav()
    outputs = method.forward(batch())
    pictures = method.pictures(outputs)
    scores, images = outputs["scores"][:, 0].numpy(), outputs["images"].numpy()
    votes = np.bincount(scores.argmax(axis=1), minlength=12)
    assert len(pictures) == min(8, np.count_nonzero(votes))
    seen = [int(name.split()[1]) for name in pictures]
    assert list(votes[seen]) == sorted(votes[votes > 0], reverse=True)[: len(seen)]
    for prototype, row in zip(seen, pictures.values(), strict=True):
        nearest = np.argsort(-scores[:, prototype])[:8]
        np.testing.assert_array_equal(row, images[nearest])


def test_deepcluster_clusters_once_an_epoch_what_the_bank_holds():
    method = deepcluster()
    kept = []
    for step in range(2 * PER_EPOCH):
        method.train_step(batch(step))
        kept.append(np.array(method.clusters.assignments))
    assert np.all(kept[0] == -1)
    assert np.all(kept[PER_EPOCH - 1] >= 0)
    np.testing.assert_array_equal(kept[PER_EPOCH - 1], kept[PER_EPOCH])
    assert np.any(kept[PER_EPOCH] != kept[2 * PER_EPOCH - 1])
    rows = np.reshape(method.clusters.table, [-1, 2, 8])
    for head in range(3):
        cosines = rows[:, head % 2] @ np.transpose(method.clusters.centroids[head])
        np.testing.assert_array_equal(kept[-1][:, head], cosines.argmax(axis=1))
    assert 0.0 < float(method.clusters.stability) <= 1.0


def test_deepcluster_looks_assignments_up_by_index():
    method = deepcluster(heads=1)
    for step in range(PER_EPOCH):
        method.train_step(batch(step))
    one = batch(1)
    outputs = method.forward(one)
    found = method._assigned(method._scores(outputs["z"]), one["index"])
    wanted = np.array(method.clusters.assignments)[ROWS : 2 * ROWS]
    np.testing.assert_array_equal(found, wanted.T)


def test_clusters_must_be_fewer_than_images():
    method = DeepClusterV2(*parts(), 25)
    with pytest.raises(ValueError, match="24 training images cannot make 25"):
        ready(method)


def test_msn_masks_one_view_by_the_examples_seeds():
    method, one = msn(), batch()
    before = method.forward(one)["anchors"]
    other = method.forward({**one, "seed": one["seed"] + 1})["anchors"]
    assert np.abs(before[:, 0] - other[:, 0]).max() > 1e-4
    np.testing.assert_array_equal(before[:, 1:], other[:, 1:])
    whole = msn(0.0)
    again = [whole.forward({**one, "seed": one["seed"] + i})["anchors"] for i in (0, 1)]
    np.testing.assert_allclose(*again, atol=1e-5)


def test_msn_wants_a_vit_with_a_class_token():
    def build(encoder):
        return MSN(encoder, MLP((8,)), Prototypes(4), schedules.cosine_momentum)

    with pytest.raises(
        TypeError, match="with visible_tokens, such as ViT; got SmallResNet"
    ):
        build(SmallResNet((8, 16), (1, 1)))
    with pytest.raises(ValueError, match=r"ViT\.pooling = 'class'"):
        build(ViT(8, 24, 2, 3, image_size=32, pooling="mean"))
