import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import tracing, weights_file
from keras_ssl.encoders.audio import AudioEncoder
from keras_ssl.export import saved_model
from keras_ssl.runs import encoders


def tiny(**options):
    return AudioEncoder(width=8, context_width=6, **options)


def waves(n=3, samples=800, seed=0):
    values = np.random.default_rng(seed).uniform(-1, 1, (n, samples))
    return values.astype(np.float32)


def test_has_the_papers_frames():
    assert (tiny().hop, tiny().field) == (80, 225)
    paper = tiny(kernels=(10, 8, 4, 4, 4), strides=(5, 4, 2, 2, 2))
    # 10 ms at 16 kHz, of 465 samples.
    assert (paper.hop, paper.field) == (160, 465)
    latents, valid = paper.latents(tf.zeros([1, 20480]))
    assert latents.shape == (1, 128, 1, 8)
    assert valid.shape == (1, 128, 1)


@pytest.mark.parametrize("samples", [1, 79, 80, 81, 800, 1001])
def test_there_is_a_frame_for_every_begun_hop(samples):
    encoder = tiny()
    latents, valid = encoder.latents(waves(samples=samples))
    assert latents.shape == (3, -(-samples // 80), 1, 8)
    assert np.all(valid.numpy() == 1)
    assert encoder(waves(samples=samples)).shape == (3, 6)


def test_zeros_at_the_end_change_nothing():
    encoder, x = tiny(), waves(samples=500)
    want = encoder(x)
    for more in (1, 300, 1000):
        padded = np.pad(x, [[0, 0], [0, more]])
        np.testing.assert_allclose(encoder(padded), want, rtol=1e-5, atol=1e-6)
    _, valid = encoder.latents(np.pad(x, [[0, 0], [0, 300]]))
    np.testing.assert_array_equal(valid[0, :, 0], [1] * 7 + [0] * 3)


def test_silence_has_finite_features():
    assert np.all(np.isfinite(tiny()(tf.zeros([2, 400]))))


def test_contexts_have_heard_nothing_later():
    encoder, x = tiny(), waves()
    before = encoder.context(encoder.latents(x)[0]).numpy()
    changed = x.copy()
    changed[:, 480:] = 0.3
    after = encoder.context(encoder.latents(changed)[0]).numpy()
    moved = np.abs(after - before).max(axis=(0, 2, 3)) > 1e-6
    # A frame hears some samples beyond its hop: the convolutions' field.
    assert not moved[:4].any()
    assert moved[6:].all()


def test_is_made_again_from_its_record():
    encoder = tiny()
    want = encoder(waves())
    again = encoders.build(
        {
            "name": "AudioEncoder",
            "config": encoder.get_config(),
            "image_size": 800,
            "precision": "float32",
        }
    )
    values = weights_file.values(tracing.named_variables(encoder))
    weights_file.assign(tracing.named_variables(again), values, "itself")
    np.testing.assert_array_equal(again(waves()), want)


def test_export_takes_waveforms_of_any_length(tmp_path):
    encoder = tiny()
    pcm = (waves(samples=700) * 2**15).astype(np.int16)
    want = encoder(pcm.astype(np.float32) / 2**15)
    saved_model.export(encoder, tmp_path / "export", 800, {})
    served = tf.saved_model.load(str(tmp_path / "export")).signatures
    assert set(served) == {"serving_default", "serve_float"}
    got = served["serving_default"](waveforms=pcm)["features"]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
    longer = np.pad(pcm.astype(np.float32) / 2**15, [[0, 0], [0, 333]])
    got = served["serve_float"](waveforms=longer)["features"]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_bfloat16_gives_float32_features():
    features = tiny(dtype="mixed_bfloat16")(waves())
    assert features.dtype == tf.float32
    assert np.all(np.isfinite(features))


def test_errors():
    with pytest.raises(ValueError, match=r"needs waveforms .*got \(1, 8, 8, 3\)"):
        tiny()(tf.zeros([1, 8, 8, 3]))
    with pytest.raises(ValueError, match=r"at least its stride; got \(4,\) and \(5,\)"):
        tiny(kernels=(4,), strides=(5,))
    with pytest.raises(ValueError, match="an entry for each convolution"):
        tiny(kernels=(4,))
