import argparse
import json
import struct
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.converters import files

ARRAYS = {
    "conv.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bn.count": np.array(7, np.int64),
    "half": np.array([0.5, -1.5], np.float16),
}


def same(got, want=ARRAYS):
    assert set(got) == set(want)
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value)


def test_npz(tmp_path):
    np.savez(tmp_path / "w.npz", **ARRAYS)
    same(files.read(tmp_path / "w.npz"))


def safetensors(path, arrays, **kinds):
    """By the format's description: length, JSON header, bytes."""
    names = {"float32": "F32", "int64": "I64", "float16": "F16"}
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, value in arrays.items():
        data = value.tobytes()
        header[name] = {
            "dtype": kinds.get(name) or names[str(value.dtype)],
            "shape": value.shape,
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def test_safetensors(tmp_path):
    safetensors(tmp_path / "w.safetensors", ARRAYS)
    same(files.read(tmp_path / "w.safetensors"))


def test_safetensors_of_bfloat16(tmp_path):
    values = tf.constant([[1.5, -2.25], [1e20, 0.0]], tf.bfloat16)
    raw = tf.bitcast(values, tf.uint16).numpy()
    safetensors(tmp_path / "w.safetensors", {"x": raw}, x="BF16")
    same(
        files.read(tmp_path / "w.safetensors"),
        {"x": tf.cast(values, tf.float32).numpy()},
    )


@pytest.mark.parametrize("how", ["prefix", "folder", "saved_model"])
def test_tensorflow(tmp_path, how):
    arrays = {"a/kernel": np.ones((2, 3), np.float32), "step": np.array(3)}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in arrays.items():
            tf.compat.v1.get_variable(name, initializer=value)
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver()
        if how == "saved_model":
            (tmp_path / "variables").mkdir()
            saver.save(session, str(tmp_path / "variables" / "variables"))
        else:
            saver.save(session, str(tmp_path / "model.ckpt"), global_step=3)
    same(files.read(tmp_path / "model.ckpt-3" if how == "prefix" else tmp_path), arrays)


def test_pytorch_without_torch(tmp_path, monkeypatch):
    (tmp_path / "w.pth").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match="torch is not installed here") as error:
        files.read(tmp_path / "w.pth")
    # The line is complete Python.
    line = str(error.value).split('python -c "')[1].rstrip('"')
    compile(line, "line", "exec")
    assert f"torch.load('{tmp_path}/w.pth', map_location='cpu')" in line


class Tensor:
    """What is used of torch's."""

    def __init__(self, value):
        self.value, self.shape = value, value.shape

    def detach(self):
        return self

    float = detach

    def numpy(self):
        return self.value


def fake_torch(monkeypatch, load):
    fake = types.ModuleType("torch")
    fake.load = load
    allowed = []
    fake.serialization = types.SimpleNamespace(add_safe_globals=allowed.extend)
    monkeypatch.setitem(sys.modules, "torch", fake)
    return allowed


@pytest.mark.parametrize("name", ["w.pth", "w.pth.tar", "w.pt", "pytorch_model.bin"])
def test_pytorch_is_read_as_weights_only(tmp_path, monkeypatch, name):
    def load(path, map_location, weights_only):
        assert (map_location, weights_only) == ("cpu", True)
        tensors = {k: Tensor(v) for k, v in ARRAYS.items()}
        return {"state_dict": tensors, "epoch": 3, "args": argparse.Namespace()}

    (tmp_path / name).write_bytes(b"x")
    assert fake_torch(monkeypatch, load) == []
    same(
        files.read(tmp_path / name),
        {f"state_dict.{k}": v for k, v in ARRAYS.items()},
    )


def test_pytorch_files_that_are_more_than_weights(tmp_path, monkeypatch):
    def load(path, map_location, weights_only):
        raise RuntimeError("Weights only load failed")

    fake_torch(monkeypatch, load)
    (tmp_path / "w.pth").write_bytes(b"x")
    words = r"load failed. If you trust its source, .*weights_only=False"
    with pytest.raises(ValueError, match=words):
        files.read(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.npz", None, "No checkpoint .*absent.npz"),
        ("w.h5", b"x", r"unknown kind; known are \.npz, \.safetensors, \.pth"),
        ("w.npz", b"no zip", "damaged or not an .npz"),
        ("w.npz", b"PK\x03\x04 and then not", "damaged or not an .npz"),
        ("w.safetensors", b"\x05", "damaged or no safetensors"),
        ("w.safetensors", struct.pack("<Q", 2) + b"{]", "damaged or no safetensors"),
        ("w.index", b"x", "damaged or no checkpoint"),
    ],
)
def test_mistakes_are_explained(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        files.read(path.with_suffix("") if name == "w.index" else path)


def test_a_cut_safetensors_is_noticed(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors(path, {"x": np.ones(100, np.float32)})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="damaged or no safetensors"):
        files.read(path)


def test_folders_without_checkpoints(tmp_path):
    with pytest.raises(ValueError, match="folder without a TensorFlow checkpoint"):
        files.read(tmp_path)
