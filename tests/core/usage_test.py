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


def test_resident_memory_grows_with_what_is_held():
    before = usage.resident_memory()
    held = np.ones(4_000_000)
    after = usage.resident_memory()
    assert before["now"] <= before["most"]
    assert after["most"] >= after["now"]
    assert after["now"] - before["now"] > 0.9 * held.nbytes
