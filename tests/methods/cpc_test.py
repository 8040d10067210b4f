import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.augmentations.policies.rotnet import RotNetViews
from keras_ssl.augmentations.policies.simclr import SimCLRViews
from keras_ssl.encoders.audio import AudioEncoder
from keras_ssl.encoders.patch_encoder import PatchEncoder
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.export import saved_model
from keras_ssl.heads.pixel_cnn import PixelCNN
from keras_ssl.methods.cpc import CPC
from keras_ssl.optimizers import AdamW
from keras_ssl.schedules import Clock
from tests import harness

CLOCK = Clock(total_steps=20, steps_per_epoch=4)


def patches(**options):
    inner = SmallResNet((1,), (8,), norm="layer")
    return PatchEncoder(inner, **{"patch_size": 8, **options})


def image_batch(n=4, size=32):
    pixels = tf.cast(harness.images(n, size), tf.float32) / 255.0
    return {"views": (pixels,), **rest(n)}


def rest(n):
    index = tf.range(n, dtype=tf.int64)
    return {"index": index, "seed": tf.stack([tf.range(n), tf.fill([n], 7)], axis=1)}


def audio_batch(n=4, samples=1200, lengths=(1200, 900, 400, 30)):
    rng = np.random.default_rng(0)
    waves = rng.uniform(-1, 1, (n, samples)).astype(np.float32)
    waves *= np.arange(samples) < np.array(lengths)[:, None]
    return {"views": (tf.constant(waves),), **rest(n)}


def built(method, batch):
    method.setup(
        tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), batch), CLOCK
    )
    return method


def audio(**options):
    method = CPC(AudioEncoder(12, context_width=10), **{"skip": 0, **options})
    return built(method, audio_batch())


@pytest.mark.parametrize("directions", [1, 2, 4])
def test_terms_are_directions_times_distances(directions):
    contexts = [PixelCNN(8, 2) for _ in range(directions)]
    method = built(CPC(patches(), contexts, steps=4, skip=1), image_batch())
    outputs = method.forward(image_batch())
    assert len(outputs) == 3 * 3 * directions
    for name, x in outputs.items():
        rows = 7 - int(name[-1])
        assert x.shape[:2] == (4, rows * 7)
    scalars = method.objective(outputs)
    assert set(scalars) == {"loss", "accuracy", *(f"loss_share_{k}" for k in (2, 3, 4))}


def test_targets_stand_below_above_right_and_left():
    method = built(
        CPC(patches(), [PixelCNN(8, 2) for _ in range(4)], steps=3), image_batch()
    )
    outputs = method.forward(image_batch())
    latents = method.encoder.latents(image_batch()["views"][0])[0].numpy()
    places = {
        "down": latents[:, 3:],
        "up": latents[:, ::-1][:, 3:],
        "right": np.swapaxes(latents[:, :, 3:], 1, 2),
        "left": np.swapaxes(latents[:, :, ::-1][:, :, 3:], 1, 2),
    }
    for way, want in places.items():
        got = outputs[f"target_{way}3"].numpy().reshape(4, 4, 7, -1)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6, err_msg=way)


def test_predictions_know_nothing_of_their_targets():
    """What is predicted moves only with the patches up to the context's row."""
    method = built(CPC(patches(), [PixelCNN(8, 6)], steps=3), image_batch())
    batch = image_batch()
    before = method.forward(batch)["prediction_down2"].numpy().reshape(4, 5, 7, -1)
    pixels = batch["views"][0].numpy()
    # Rows 3 and later of the grid, from pixel 12 on; row 2 reaches to pixel 16.
    pixels[:, 16:] = 0.5
    moved = method.forward({**batch, "views": (tf.constant(pixels),)})
    after = moved["prediction_down2"].numpy().reshape(4, 5, 7, -1)
    same = np.abs(after - before).max(axis=(0, 2, 3)) < 1e-6
    np.testing.assert_array_equal(same, [True, True, True, False, False])


def test_loss_is_the_mean_of_the_terms():
    method = audio(steps=3, scale=0.5)
    outputs = method.forward(audio_batch())
    terms, shares = [], []
    for k in (1, 2, 3):
        p, t, v = (
            outputs[f"{n}_down{k}"].numpy() for n in ("prediction", "target", "valid")
        )
        real = v.reshape(-1) == 1
        # Frames of each recording that have one k later: 15, 12, 5 and 1 in all.
        assert real.sum() == sum(max(0, frames - k) for frames in (15, 12, 5, 1))
        p, t = (x.reshape(-1, 12)[real] for x in (0.5 * p, t))
        terms.append(float(losses.cpc_info_nce(p, t)))
        shares.append(terms[-1] / np.log(real.sum()))
    scalars = method.objective(outputs)
    np.testing.assert_allclose(scalars["loss"], np.mean(terms), rtol=1e-5)
    got = [scalars[f"loss_share_{k}"] for k in (1, 2, 3)]
    np.testing.assert_allclose(got, shares, rtol=1e-5)


def test_drawn_positions_bound_the_candidates_and_follow_the_seeds():
    method = audio(steps=2, positions=4)
    batch = audio_batch()
    first, again = method.forward(batch), method.forward(batch)
    assert first["prediction_down1"].shape == (4, 4, 12)
    np.testing.assert_array_equal(tf.reduce_sum(first["valid_down1"], 1), [4, 4, 4, 0])
    np.testing.assert_array_equal(first["target_down1"], again["target_down1"])
    other = method.forward({**batch, "seed": batch["seed"] + 100})
    assert np.any(first["target_down1"] != other["target_down1"])


@pytest.mark.parametrize("xla", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_audio_steps_train(xla):
    method = audio(steps=2, positions=4)
    method.compile(optimizer=AdamW(learning_rate=1e-2, weight_decay=0.0))
    method.optimizer.build(method.trainable_variables)
    batch = audio_batch()
    with tf.GradientTape() as tape:
        loss = method._loss(batch)["loss"]
    for variable, gradient in zip(
        method.trainable_variables,
        tape.gradient(loss, [v.value for v in method.trainable_variables]),
        strict=True,
    ):
        assert gradient is not None, variable.path
        assert np.all(np.isfinite(gradient)), variable.path
    step = tf.function(method.train_step, jit_compile=xla, autograph=False)
    found = [float(step(batch)["loss"]) for _ in range(20)]
    assert found[-1] < found[0]


@pytest.mark.parametrize("views", [SimCLRViews(8, count=1), RotNetViews(8, part=0.9)])
def test_each_patch_gets_a_view_of_its_own(views):
    method = built(
        CPC(patches(), [PixelCNN(8, 1)], steps=2, patch_views=views), image_batch()
    )
    grey = {**image_batch(), "views": (tf.fill([4, 32, 32, 3], 0.4),)}
    plain = built(CPC(method.encoder, [PixelCNN(8, 1)], steps=2), image_batch())
    assert np.ptp(plain.forward(grey)["target_down2"], axis=1).max() < 1e-5
    batch = image_batch()
    one, two = (method.forward(batch)["target_down2"] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    without = plain.forward(batch)["target_down2"]
    moved = np.abs(one - without).max(-1) > 1e-6
    assert moved.mean() > 0.4
    with pytest.raises(ValueError, match=r"patches' size, 8 pixels; they have 9"):
        built(
            CPC(patches(), [PixelCNN(8, 1)], patch_views=SimCLRViews(9, count=1)),
            image_batch(),
        )


def test_encoders_can_be_exported_after_setup(tmp_path):
    images = built(CPC(patches(), [PixelCNN(8, 1)], steps=2), image_batch())
    saved_model.export(images.encoder, tmp_path / "images", 32, {})
    saved_model.export(audio().encoder, tmp_path / "audio", 1200, {})


def test_errors():
    with pytest.raises(TypeError, match="needs an encoder with latents"):
        CPC(SmallResNet(), [PixelCNN()])
    with pytest.raises(TypeError, match="an encoder with context, such as"):
        CPC(patches())
    with pytest.raises(ValueError, match="skip=2, steps=2"):
        CPC(patches(), [PixelCNN()], steps=2, skip=2)
    with pytest.raises(ValueError, match="positions=0"):
        CPC(patches(), [PixelCNN()], positions=0)
    with pytest.raises(ValueError, match="4 directions; got 5"):
        CPC(patches(), [PixelCNN() for _ in range(5)])
    with pytest.raises(ValueError, match="With 7 rows or frames none is 7 after"):
        built(CPC(patches(), [PixelCNN(8, 1)], steps=7), image_batch())
