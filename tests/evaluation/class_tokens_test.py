import numpy as np
import pytest

from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.encoders.vit import ViT
from keras_ssl.evaluation.class_tokens import class_tokens, each_class_token
from keras_ssl.evaluation.data import Frozen
from keras_ssl.evaluation.linear_sgd import LinearSGD
from tests import harness


def test_class_tokens_of_the_last_blocks_stand_side_by_side():
    vit = ViT(patch_size=8, width=24, depth=3, heads=2)
    images = harness.images(5).numpy() / np.float32(255)
    features = vit(images, training=False).numpy()
    got = class_tokens(Frozen(vit), 1)(images)
    np.testing.assert_allclose(got, features, rtol=1e-5, atol=1e-6)
    tokens = [vit.norm(x) for x in vit.block_tokens(images, training=False)]
    got = class_tokens(Frozen(vit), 2, patches=True)(images)
    want = [tokens[1][:, 0], tokens[2][:, 0], np.mean(tokens[2][:, 1:], axis=1)]
    np.testing.assert_allclose(got, np.concatenate(want, 1), rtol=1e-5, atol=1e-5)


def test_what_has_no_class_tokens_is_told():
    vit = ViT(patch_size=8, width=24, depth=3, heads=2)
    with pytest.raises(ValueError, match=r"must be in \[1, 3\], the blocks of vit"):
        class_tokens(Frozen(vit), 4)
    with pytest.raises(ValueError, match="has no class token"):
        class_tokens(Frozen(SmallResNet()), 1)
    with pytest.raises(ValueError, match="pooling = 'class'"):
        each_class_token(Frozen(SmallResNet()))
    with pytest.raises(ValueError, match="give class_tokens too"):
        LinearSGD(patches=True)


def test_a_probe_without_them_has_the_fingerprint_it_had():
    assert "class_tokens" not in LinearSGD().protocol()
    assert LinearSGD(class_tokens=2).protocol()["class_tokens"] == 2
