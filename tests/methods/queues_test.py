"""What conformance cannot know of methods with a queue or bank, and of MoCo v3."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import config, registry
from keras_ssl.encoders.tokens import STEMS
from keras_ssl.encoders.vit import ViT
from keras_ssl.methods.densecl import DenseCL
from keras_ssl.methods.instdisc import InstDisc
from keras_ssl.methods.moco import MoCo
from keras_ssl.methods.nnclr import NNCLR
from keras_ssl.methods.ressl import ReSSL
from keras_ssl.optimizers import SGD
from tests import harness

close = np.testing.assert_allclose


def bench(name, gin_file=None, **changes):
    """A method at tiny size, some of its arguments changed, and its batches."""
    entry = next(e for e in registry.entries("method") if e.name == name)
    made = harness.Bench(entry, gin_file, optimizer=SGD)
    for attribute, value in changes.items():
        assert hasattr(made.method, attribute)
        setattr(made.method, attribute, value)
    return made


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def one_step(made):
    """What `forward` gave and the scalars of a step on the same batch."""
    outputs = {k: v.numpy() for k, v in made.method._outputs(made.batch(0)).items()}
    return outputs, made.steps(1)[0]


def table(queue):
    return queue.table.numpy()


@pytest.mark.parametrize("symmetric", [False, True])
def test_moco_reads_the_queue_before_its_keys_enter(symmetric):
    made = bench("MoCo", symmetric=symmetric, temperature=0.5)
    before = table(made.method.queue)
    outputs, scalars = one_step(made)
    directions = 1 + symmetric
    q, k = (
        unit(outputs[name].reshape(16 * directions, -1)) for name in ("queries", "keys")
    )
    logits = np.concatenate([np.sum(q * k, 1)[:, None], q @ before.T], 1) / 0.5
    want = np.mean(np.log(np.sum(np.exp(logits), 1)) - logits[:, 0])
    close(scalars["loss"], want, rtol=1e-4)
    close(scalars["accuracy"], np.mean(logits.argmax(1) == 0), atol=1e-6)
    after = table(made.method.queue)
    close(after[: len(k)], k, atol=1e-5)
    np.testing.assert_array_equal(after[len(k) :], before[len(k) :])


def test_moco_views_take_turns_where_it_is_symmetric():
    made = bench("MoCo", symmetric=True, splits=1)
    batch = made.batch(0)
    swapped = {**batch, "views": batch["views"][::-1]}
    one, other = (made.method.forward(b) for b in (batch, swapped))
    for name in ("queries", "keys"):
        close(one[name], other[name][:, ::-1], rtol=1e-4, atol=1e-5)


def test_moco_splits_change_what_queries_are_normalised_with():
    made = bench("MoCo", splits=2)
    batch = made.batch(0)
    views = [x.numpy() for x in batch["views"]]
    outputs = made.method.forward(batch)
    # Row 1 is of another group than row 0 as a query, and of the same as a key.
    views[0][1], views[1][1] = 0.5, 0.5
    changed = made.method.forward({**batch, "views": tuple(map(tf.constant, views))})
    close(changed["queries"][0], outputs["queries"][0], atol=1e-6)
    assert np.abs(changed["keys"][0] - outputs["keys"][0]).max() > 1e-4


def nce(z, own, noise, scale, temperature, rows):
    chance = noise.shape[1] / rows
    right = np.exp(np.sum(z * own, 1) / temperature) / scale
    wrong = np.exp(np.einsum("nd,nmd->nm", z, noise) / temperature) / scale
    terms = np.log(right / (right + chance))
    return -np.mean(terms + np.log(chance / (wrong + chance)).sum(1))


def test_instdisc_estimates_its_normalisation_once():
    made = bench("InstDisc", noise=48)
    method = made.method
    assert method.normalizer.numpy() == 0
    method.bank(tf.zeros([1, 128]))
    bank = method.bank.table.numpy()
    outputs, scalars = one_step(made)
    z, noise = unit(outputs["z"]), bank[outputs["noise"]]
    scale = 64 * np.mean(np.exp(np.einsum("nd,nmd->nm", z, noise) / method.temperature))
    close(method.normalizer.numpy(), scale, rtol=1e-4)
    want = nce(z, bank[:16], noise, scale, method.temperature, 64)
    close(scalars["loss"], want, rtol=1e-4)
    close(scalars["own"], np.mean(np.sum(z * bank[:16], 1)), rtol=1e-3, atol=1e-6)
    known = method.normalizer.numpy()
    made.steps(1, first=1)
    assert method.normalizer.numpy() == known


def test_instdisc_draws_noise_by_the_examples_seed_alone():
    made = bench("InstDisc", noise=500)
    batch = made.batch(0)
    noise = made.method.forward(batch)["noise"].numpy()
    assert noise.shape == (16, 500)
    assert set(noise.ravel()) == set(range(64))
    half = tf.nest.map_structure(lambda x: x[8:], dict(batch))
    np.testing.assert_array_equal(made.method.forward(half)["noise"], noise[8:])


def test_instdisc_compares_with_all_images_and_holds_them_near():
    made = bench("InstDisc", noise=0, proximal=3.0, temperature=0.5)
    made.method.bank.momentum = 0.5
    bank = made.method.bank.table.numpy()
    outputs, scalars = one_step(made)
    z = unit(outputs["z"])
    logits = z @ bank.T / 0.5
    want = np.log(np.exp(logits).sum(1)) - logits[range(16), range(16)]
    want += 3.0 * np.sum((z - bank[:16]) ** 2, axis=1)
    close(scalars["loss"], want.mean(), rtol=1e-4)
    close(made.method.bank.table[:16], unit((bank[:16] + z) / 2), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("stem", STEMS)
def test_moco_v3_never_moves_frozen_patches(stem, tmp_path):
    recipe = tmp_path / "frozen.gin"
    recipe.write_text(
        "include 'methods/moco_v3.gin'\n"
        f"ViT.stem = '{stem}'\nViT.freeze_patches = True\n"
    )
    made = bench("MoCoV3", str(recipe))
    encoder, target = made.method.encoder, made.method.target.copies[0]
    start = [v.numpy() for v in encoder.patches.weights if "moving" not in v.path]
    block = encoder.blocks[0].dense1.kernel.numpy()
    made.steps(2)
    for vit in (encoder, target):
        kept = [v for v in vit.patches.weights if "moving" not in v.path]
        for variable, value in zip(kept, start, strict=True):
            np.testing.assert_array_equal(variable, value)
    assert np.any(encoder.blocks[0].dense1.kernel.numpy() != block)
    trained = {id(v) for v in made.method.trainable_variables}
    assert not trained & {id(v) for v in encoder.patches.variables}


@pytest.mark.parametrize("folder", ["imagenet", "cifar10"])
def test_moco_v3_s_recipes_freeze_a_projection_of_patches(folder):
    config.parse([f"recipes/{folder}/moco_v3.gin", "tiny.gin"])
    encoder = config.value("train", "method").encoder
    assert (encoder.stem, encoder.freeze_patches) == ("linear", True)


@pytest.mark.parametrize("frozen", [False, True])
def test_patches_that_are_frozen_do_not_train(frozen):
    vit = ViT(8, 24, 1, 3, image_size=32, freeze_patches=frozen)
    vit(tf.zeros([1, 32, 32, 3]))
    assert ViT.from_config(vit.get_config()).freeze_patches == frozen
    paths = [v.path for v in vit.trainable_variables]
    assert any("patches" in path for path in paths) != frozen


def test_nnclr_keeps_first_views_and_predicts_neighbours():
    made = bench("NNCLR", temperature=0.5)
    before = table(made.method.queue)
    outputs, scalars = one_step(made)
    z1, z2, p1, p2 = (unit(outputs[name]) for name in ("z1", "z2", "p1", "p2"))
    want, nearest = [], []
    for z, p in ((z1, p2), (z2, p1)):
        nearest.append((z @ before.T).argmax(1))
        logits = before[nearest[-1]] @ p.T / 0.5
        want.append(np.mean(np.log(np.exp(logits).sum(1)) - np.diag(logits)))
    close(scalars["loss"], np.mean(want), rtol=1e-4)
    close(scalars["agreement"], np.mean(nearest[0] == nearest[1]), atol=1e-6)
    found = (before[nearest[0]] @ p2.T).argmax(1)
    close(scalars["accuracy"], np.mean(found == np.arange(16)), atol=1e-6)
    close(table(made.method.queue)[:16], z1, atol=1e-5)


def test_ressl_relates_a_strong_view_as_the_target_does_a_weak_one():
    made = bench("ReSSL")
    before = table(made.method.queue)
    outputs, scalars = one_step(made)
    query, key = (unit(outputs[name]) @ before.T for name in ("query", "key"))
    target = np.exp(key / 0.04) / np.exp(key / 0.04).sum(1, keepdims=True)
    log_p = query / 0.1 - np.log(np.exp(query / 0.1).sum(1, keepdims=True))
    close(scalars["loss"], -np.sum(target * log_p, 1).mean(), rtol=1e-4)
    close(scalars["entropy"], -np.sum(target * np.log(target), 1).mean(), rtol=1e-3)
    close(scalars["accuracy"], np.mean(query.argmax(1) == key.argmax(1)), atol=1e-6)
    close(table(made.method.queue)[:16], unit(outputs["key"]), atol=1e-5)


def test_densecl_shares_its_loss_out_and_keeps_pooled_keys():
    made = bench("DenseCL", dense_share=0.25)
    outputs, scalars = one_step(made)
    assert outputs["q_grid"].shape == (16, 64, 128)
    want = 0.75 * scalars["whole"] + 0.25 * scalars["dense"]
    close(scalars["loss"], want, rtol=1e-5)
    method = made.method
    close(table(method.queue)[:16], unit(outputs["k_whole"]), atol=1e-5)
    pooled = unit(outputs["k_grid"].mean(1))
    close(table(method.dense_queue)[:16], pooled, atol=1e-5)


def test_densecl_projects_the_encoders_own_features():
    made = bench("DenseCL", splits=1)
    method, image = made.method, made.batch(0)["views"][0]
    got = method.forward(made.batch(0))["q_whole"]
    want = method.projector(method.encoder(image, training=True), training=True)
    close(got, want, rtol=1e-4, atol=1e-5)


def part(**_):
    return keras.layers.Identity()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda e: MoCo(e, part(), 64, None, temperature=0.0), "temperature must"),
        (lambda e: MoCo(e, part(), 64, None, splits=0), "splits must be positive"),
        (lambda e: InstDisc(e, part(), noise=-1), "noise must not be negative, got -1"),
        (lambda e: NNCLR(e, part(), part(), 64, -1.0), "got -1"),
        (lambda e: ReSSL(e, part(), 64, None, 0.1, 0.1), "below student"),
        (
            lambda e: DenseCL(e, part(), part(), 64, None, dense_share=2),
            "dense_share must be in",
        ),
    ],
)
def test_wrong_numbers_are_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make(ViT(8, 24, 1, 3, image_size=32))


def test_densecl_wants_maps():
    plain = keras.Sequential([keras.layers.Flatten()])
    with pytest.raises(TypeError, match=r"with maps, such as .*; got Sequential"):
        DenseCL(plain, part(), part(), 64, None)
