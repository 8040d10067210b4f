import numpy as np

from keras_ssl.core import usage


def test_peak_stays_when_memory_is_given_back():
    before = usage.peak_memory()["process"]
    # More than was ever held, touched so that it is really there.
    block = np.ones(before + (64 << 20), np.uint8)
    held = usage.peak_memory()["process"]
    assert held > before + (32 << 20)
    del block
    assert usage.peak_memory()["process"] >= held
