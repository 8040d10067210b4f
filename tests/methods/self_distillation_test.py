"""What conformance cannot know of DINO and iBOT: their own promises."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses, schedules
from keras_ssl.core import config
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.encoders.vit import ViT
from keras_ssl.heads.dino_head import DINOHead
from keras_ssl.methods.dino import DINO
from keras_ssl.methods.ibot import IBOT
from keras_ssl.methods.terms import Term
from keras_ssl.runs import optimizing
from keras_ssl.schedules import Clock, linear_warmup
from tests import harness

N = 6
CLOCK = Clock(total_steps=8, steps_per_epoch=2, examples=N)


def batch(local=2, seed=0):
    views = [
        tf.cast(harness.images(N, 16 if i > 1 else 32, seed + i), tf.float32) / 255.0
        for i in range(2 + local)
    ]
    seeds = tf.stack([tf.range(N), tf.fill([N], seed)], axis=1)
    return {"views": views, "seed": seeds, "index": tf.range(N, dtype=tf.int64)}


def vit(**options):
    return ViT(8, 24, 2, 3, image_size=32, positions="learned", **options)


def fixed(value):
    return lambda clock: schedules.fixed(clock, value)


def warm(clock):
    return linear_warmup(clock, 0.04, 0.07, 3)


def made(kind, encoder=None, **options):
    keras.utils.set_random_seed(0)
    given = {"momentum": fixed(0.9), "teacher_temperature": fixed(0.04), **options}
    if kind is IBOT:
        given["teacher_patch_temperature"] = fixed(0.05)
    head = DINOHead(20, (16, 32), norm_last_layer=False)
    method = kind(encoder or vit(), head, **given)
    one = {**batch(), "views": tuple(batch()["views"])}
    method.setup(tf.nest.map_structure(tf.TensorSpec.from_tensor, one), CLOCK)
    return method


def changed(one, view):
    """The batch with other images in one view."""
    views = list(one["views"])
    views[view] = 1.0 - views[view]
    return {**one, "views": views}


@pytest.mark.parametrize("kind", [DINO, IBOT])
def test_only_global_views_are_targets(kind):
    method, one = made(kind), batch()
    before = method.forward(one)
    assert before["student"].shape == (N, 4, 20)
    assert before["teacher"].shape == (N, 2, 20)
    assert before["features"].shape == (N, 2, 24)
    for view in range(4):
        after = method.forward(changed(one, view))
        for name in ("student", "teacher", "features"):
            moved = np.abs(after[name] - before[name]).max(axis=(0, 2)) > 1e-4
            want = [i == view for i in range(before[name].shape[1])]
            np.testing.assert_array_equal(moved, want, err_msg=f"{name}, view {view}")


@pytest.mark.parametrize("kind", [DINO, IBOT])
def test_the_center_moves_after_its_use(kind):
    method, one = made(kind), batch()
    method.compile(optimizer=keras.optimizers.SGD(0.1))
    outputs = method.forward(one)
    want = {method.center: outputs["teacher"]}
    if kind is IBOT:
        want[method.patch_center] = outputs["teacher_patch"]
        assert method.patch_center.mean.shape == (20,)
    loss = method.objective(outputs)["loss"]
    np.testing.assert_allclose(method.train_step(one)["loss"], loss, rtol=1e-4)
    for center, logits in want.items():
        mean = np.mean(np.reshape(logits, [-1, 20]), axis=0)
        np.testing.assert_allclose(center.mean, 0.1 * mean, rtol=1e-4, atol=1e-7)


def test_dinos_numbers():
    method, one = made(DINO, teacher_temperature=warm), batch()
    method.center.mean.assign(np.linspace(-0.2, 0.2, 20))
    outputs = method.forward(one)
    found = method.objective(outputs)
    teacher = (np.asarray(outputs["teacher"]) - np.asarray(method.center.mean)) / 0.04
    q = np.exp(teacher) / np.exp(teacher).sum(-1, keepdims=True)
    log_p = tf.nn.log_softmax(outputs["student"] / 0.1).numpy()
    pairs = [(i, j) for i in range(2) for j in range(4) if i != j]
    want = np.mean([-(q[:, i] * log_p[:, j]).sum(-1).mean() for i, j in pairs])
    np.testing.assert_allclose(found["loss"], want, rtol=1e-4)
    entropy = -(q * np.log(q)).sum(-1).mean()
    np.testing.assert_allclose(found["teacher_entropy"], entropy, rtol=1e-4)
    np.testing.assert_allclose(found["kl"], want - entropy, rtol=1e-3)
    # The temperature rises by the epoch.
    method.compile(optimizer=keras.optimizers.SGD(0.1))
    method.optimizer.iterations.assign(CLOCK.steps_per_epoch * 2)
    np.testing.assert_allclose(method.now(method.teacher_temperature), 0.07)


def test_views_drop_paths_apart_and_the_target_none():
    method, one = made(DINO, vit(drop_path=0.5)), batch(local=0)
    one["views"] = [one["views"][0]] * 2
    outputs = method.forward(one)
    same = np.abs(outputs["student"][:, 0] - outputs["student"][:, 1]).max(-1) < 1e-6
    assert 0 < same.sum() < N or not same.any()
    whole = method.projector(method.encoder(one["views"][0]))
    np.testing.assert_allclose(outputs["teacher"][:, 1], whole, rtol=1e-4, atol=1e-5)
    again = method.forward(one)["student"]
    np.testing.assert_array_equal(again, outputs["student"])


def test_a_resnets_target_has_statistics_of_its_batch():
    method, one = made(DINO, SmallResNet((1,), (8,))), batch()
    outputs = method.forward(one)
    np.testing.assert_allclose(
        outputs["teacher"], outputs["student"][:, :2], rtol=1e-3, atol=1e-4
    )
    assert method.pictures(outputs) == {}


def test_ibot_never_sees_what_it_hides():
    method = made(IBOT, mask_probability=1.0, mask_ratio=(0.3, 0.5))
    method.mask_token.assign(tf.ones([24]))
    one = batch()
    before = method.forward(one)
    masks = np.asarray(before["masks"])
    assert masks.shape == (N, 2, 16)
    assert np.all(masks.sum(axis=2) > 0)
    assert np.all(masks.sum(axis=2) <= 8)
    assert len(np.unique(masks.reshape(-1, 16), axis=0)) > N
    hidden = masks[:, 0].reshape(N, 4, 1, 4, 1, 1)
    grid = np.reshape(one["views"][0], [N, 4, 8, 4, 8, 3])
    other = np.reshape(grid * (1 - hidden) + 0.5 * hidden, [N, 32, 32, 3])
    after = method.forward({**one, "views": [tf.constant(other), *one["views"][1:]]})
    for name in ("student", "student_patch", "features"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-5)
    assert np.abs(after["teacher_patch"] - before["teacher_patch"])[:, 0].max() > 1e-3
    drawn = method.pictures(before)
    assert list(drawn) == ["image", "masked", "head 1", "head 2", "head 3", "60%"]
    seen = np.reshape(drawn["masked"], [N, 4, 8, 4, 8, 3])
    np.testing.assert_allclose(seen, grid * (1 - hidden) + 0.5 * hidden, atol=1e-6)


def test_ibot_hides_by_the_examples_seed_alone():
    method, one = made(IBOT), batch()
    masks = method.forward(one)["masks"]
    half = {"views": [v[3:] for v in one["views"]], "seed": one["seed"][3:]}
    np.testing.assert_array_equal(method.forward(half)["masks"], masks[3:])
    many = {"views": one["views"], "seed": tf.stack([tf.range(500)] * 2, axis=1)}
    some = np.any(method._masks(many), axis=2)
    assert 0.45 < some.mean() < 0.55
    # The coins of an image's two views are independent.
    assert 0.2 < np.all(some, axis=1).mean() < 0.3


def test_ibots_loss_is_that_of_its_views():
    method, one = made(IBOT, mask_probability=0.7), batch()
    for center in (method.center, method.patch_center):
        center.mean.assign(np.linspace(-0.2, 0.2, 20))
    outputs = method.forward(one)
    found = method.objective(outputs)
    names = ("student", "student_patch", "teacher", "teacher_patch", "masks")
    turned = [np.swapaxes(outputs[name], 0, 1) for name in names]
    center = tf.cast(np.linspace(-0.2, 0.2, 20), tf.float32)
    want = losses.ibot(
        *map(tf.constant, turned),
        center[None],
        center[None, None],
        teacher_temperature=0.04,
        teacher_patch_temperature=0.05,
    )
    for name, value in want.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5)


@pytest.mark.parametrize("kind", [DINO, IBOT])
def test_koleo_acts_on_the_features(kind):
    method, one = made(kind), batch()
    plain = method._loss(one)["loss"]
    method.terms = (Term(losses.koleo, ("features",), weight=0.1, by_view=True),)
    scalars = method._loss(one)
    features = method.forward(one)["features"]
    want = sum(losses.koleo(features[:, i]) for i in range(2))
    np.testing.assert_allclose(scalars["koleo"], want, rtol=1e-4)
    np.testing.assert_allclose(scalars["loss"] - plain, 0.1 * want, rtol=1e-3)


RECIPES = [
    name
    for name in config.shipped()
    if name.startswith("recipes")
    and ("dino" in name or "ibot" in name)
    # Lightly's settings have no frozen layer.
    and name != "recipes/cifar10/dino.gin"
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_freeze_the_last_layer_at_first(recipe):
    config.parse([recipe, "tiny.gin"])
    method, views, optimizer, rate, rates, decay = (
        config.value("train", name)
        for name in (
            "method",
            "views",
            "optimizer",
            "learning_rate",
            "rates",
            "weight_decay",
        )
    )
    pixels = harness.images(N)
    seeds = tf.stack([tf.range(N), tf.fill([N], 7)], axis=1)
    one = {"views": views.render(pixels, seeds), "seed": seeds}
    one["index"] = tf.range(N, dtype=tf.int64)
    clock = Clock(total_steps=20, steps_per_epoch=1, examples=N)
    method.setup(tf.nest.map_structure(tf.TensorSpec.from_tensor, one), clock)
    value = rate(clock)
    optimizing.compile_method(
        method, clock, optimizer, lambda s: value(s + 2), 100.0, rates, decay
    )
    kernel = method.projector.last.kernel
    before, first = kernel.numpy(), method.projector.dense[0].kernel.numpy()
    method.train_step(one)
    np.testing.assert_array_equal(kernel, before)
    assert not np.array_equal(method.projector.dense[0].kernel, first)
    # Two of our epochs are one of DINOv2's.
    method.optimizer.iterations.assign(3)
    method.train_step(one)
    assert not np.array_equal(kernel, before)


def test_say_what_is_wrong():
    head = DINOHead(20, (16, 32))
    with pytest.raises(TypeError, match="such as BEiT or ViT; got SmallResNet"):
        IBOT(SmallResNet((1,), (4,)), head, fixed(0.9), fixed(0.04), fixed(0.04))
    for kind in (DINO, IBOT):
        with pytest.raises(ValueError, match="student_temperature"):
            made(kind, student_temperature=0.0)
        with pytest.raises(ValueError, match="momentum"):
            made(kind, center_momentum=1.5)
    with pytest.raises(ValueError, match="ratio"):
        made(IBOT, mask_ratio=(0.5, 0.1))
