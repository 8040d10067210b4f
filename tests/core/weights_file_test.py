import json

import keras
import numpy as np
import pytest

from keras_ssl.core import durable, formats, weights_file
from tests import limits


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "encoder/kernel": rng.normal(size=(3, 4)).astype(np.float32),
        "bias": rng.normal(size=4).astype(np.float32),
        "optimizer/iterations": np.array(7, np.int64),
        "queue/full": np.array([True, False]),
    }


@pytest.fixture
def path(tmp_path, arrays):
    path = tmp_path / "deep" / "w.npz"
    weights_file.save(path, arrays, {"step": 7, "name": "ä"})
    return path


def same(first, second):
    return weights_file.digest(first) == weights_file.digest(second)


def test_round_trip(path, arrays):
    got, meta = weights_file.load(path)
    assert meta == {**formats.stamp(), "step": 7, "name": "ä"}
    assert set(got) == set(arrays)
    for name, value in arrays.items():
        assert got[name].dtype == value.dtype
        np.testing.assert_array_equal(got[name], value)
    assert [p.name for p in path.parent.iterdir()] == ["w.npz"]


def test_a_save_that_fails_leaves_the_old_file(path, arrays):
    with pytest.raises(TypeError, match="not JSON serializable"):
        weights_file.save(path, {}, {"step": object()})
    assert same(weights_file.load(path)[0], arrays)
    assert [p.name for p in path.parent.iterdir()] == ["w.npz"]


def test_a_full_disk_is_told_in_a_sentence(path, arrays, tmp_path):
    large = {"k": np.zeros(100_000, np.float32)}
    with (
        limits.file_size(50_000),
        pytest.raises(durable.WriteError, match=r"Cannot write .*w\.npz: File too la"),
    ):
        weights_file.save(path, large, {})
    assert same(weights_file.load(path)[0], arrays)
    assert [p.name for p in path.parent.iterdir()] == ["w.npz"]
    weights_file.save(path, large, {})
    assert same(weights_file.load(path)[0], large)


def test_a_file_of_before_names_were_kept_is_read(path, arrays):
    words = np.frombuffer(json.dumps({"step": 3}).encode(), np.uint8)
    np.savez(path, **{"meta.json": words}, **arrays)
    got, meta = weights_file.load(path)
    assert meta == {"step": 3}
    assert same(got, arrays)


def test_a_reader_of_the_old_file_is_not_disturbed(path):
    before = path.read_bytes()
    with path.open("rb") as file:
        weights_file.save(path, {}, {})
        assert file.read() == before


def test_a_file_cut_short_is_refused(path):
    whole = path.read_bytes()
    for length in [0, 1, 100, *range(200, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"w\.npz is damaged or not a weights"):
            weights_file.load(path)


def damaged(whole, draw):
    """The bytes of a file after one of the things that happen to files."""
    size = len(whole)
    at, length = int(draw.integers(size)), int(draw.integers(1, 65))
    kinds = {
        "bit": whole[:at] + bytes([whole[at] ^ 1 << length % 8]) + whole[at + 1 :],
        "byte": whole[:at] + draw.bytes(1) + whole[at + 1 :],
        "zeros": whole[:at] + bytes(length) + whole[at + length :],
        "noise": whole[:at] + draw.bytes(length) + whole[at + length :],
        "gone": whole[:at] + whole[at + length :],
        "twice": whole[: at + length] + whole[at:],
        "cut": whole[:at],
    }
    kind = str(draw.choice(list(kinds)))
    return kind, kinds[kind][:size] if kind == "zeros" else kinds[kind]


def test_no_damage_changes_a_value_or_hides_one(path, arrays):
    whole, refused, seed = path.read_bytes(), {}, np.random.default_rng(6)
    # A bit at every place, then all that may happen at places that chance chooses.
    every = [
        ("bit", whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        for at in range(len(whole))
    ]
    files = [*every, *(damaged(whole, seed) for _ in range(1600))]
    assert len(files) > 3000
    for kind, content in files:
        path.write_bytes(content)
        try:
            got, meta = weights_file.load(path)
        except ValueError:
            refused[kind] = refused.get(kind, 0) + 1
            continue
        # Bytes that nobody reads, such as the time of writing.
        assert meta == {**formats.stamp(), "step": 7, "name": "ä"}
        assert same(got, arrays)
    assert len(refused) == 7
    assert sum(refused.values()) > len(files) / 2


def test_damage_in_the_header_of_a_large_array_is_refused(tmp_path):
    # Large arrays are read in parts: their headers are parsed before the CRC is known.
    path = tmp_path / "w.npz"
    weights_file.save(path, {"k": np.zeros((300, 400), np.float32)}, {})
    whole = path.read_bytes()
    start = whole.index(b"NUMPY", whole.index(b"k.npy"))
    assert b"(300, 400)" in whole[start : start + 100]
    for at in range(start, start + 100):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            weights_file.load(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"No weights file .*none"):
        weights_file.load(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="No weights file"):
        weights_file.load(tmp_path)
    (tmp_path / "text.npz").write_text("not a zip")
    np.savez(tmp_path / "foreign.npz", kernel=np.zeros(3))
    np.savez(tmp_path / "pickled.npz", **{"meta.json": np.array([{}], object)})
    for name in ("text", "foreign", "pickled"):
        with pytest.raises(ValueError, match=f"{name}.npz is damaged or not a weights"):
            weights_file.load(tmp_path / f"{name}.npz")


@pytest.fixture
def variables(arrays):
    return {name: keras.Variable(np.zeros_like(x)) for name, x in arrays.items()}


def test_assign_loads_every_variable(variables, arrays, capsys):
    assert weights_file.assign(variables, arrays, "w.npz").fits
    assert capsys.readouterr().err == (
        "w.npz: 4 of 4 variables matched, 0 missing, 0 unexpected, 0 of other shape.\n"
    )
    assert same(weights_file.values(variables), arrays)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"bias": None},
            r"w\.npz does not fit: 3 of 4 variables matched, 1 missing \(bias\)",
        ),
        ({"extra": np.zeros(1)}, r"1 unexpected \(extra\)"),
        (
            {"bias": np.zeros((2, 2), np.float32)},
            r"1 of other shape \(bias \(2, 2\) instead of \(4,\)\)",
        ),
        ({"bias": None, "x": np.zeros(1)}, r"1 missing \(bias\), 1 unexpected \(x\)"),
        (
            {name: np.zeros(1) for name in "pqrs"},
            r"4 unexpected \(p, q, r, s\).*\. Nothing was loaded",
        ),
    ],
)
def test_assign_loads_all_or_nothing(variables, arrays, change, words):
    arrays = {k: v for k, v in (arrays | change).items() if v is not None}
    before = weights_file.digest(weights_file.values(variables))
    with pytest.raises(ValueError, match=words):
        weights_file.assign(variables, arrays, "w.npz")
    assert weights_file.digest(weights_file.values(variables)) == before


def test_assign_leaves_out_what_is_excepted(variables, arrays):
    given = {**arrays, "x": np.ones(1), "bias": np.ones(9)}
    found = weights_file.assign(variables, given, "w.npz", ["^x$", "bi"])
    assert (found.kept, found.left_out) == (("bias",), ("x",))
    want = {**arrays, "bias": np.zeros(4, np.float32)}
    assert same(weights_file.values(variables), want)


def test_values_are_copies(variables):
    before = weights_file.values(variables)
    variables["bias"].assign(np.ones(4))
    assert not before["bias"].any()


def test_copies_are_written_over_on_demand(variables, arrays):
    first = weights_file.values(variables)
    weights_file.assign(variables, arrays, "w.npz")
    held = dict(first)
    again = weights_file.values(variables, first)
    assert same(again, arrays)
    assert all(again[name] is value for name, value in held.items())
    # Nor do they change with the variables.
    variables["bias"].assign(np.ones(4))
    assert same(again, arrays)


def test_digest_sees_names_values_types_and_shapes_but_not_order():
    x = np.arange(4, dtype=np.float32)
    base = weights_file.digest({"a": x, "b": x + 1})
    assert weights_file.digest({"b": x + 1, "a": x}) == base
    assert weights_file.digest({"a": x, "b": np.asarray([x + 1]).T[:, 0]}) == base
    others = [
        {"a": x, "c": x + 1},
        {"a": x + 1, "b": x},
        {"a": x, "b": (x + 1).reshape(2, 2)},
        {"a": x, "b": (x + 1).view(np.int32)},
        {"a": x},
        {"a": np.nextafter(x, 9).astype(np.float32), "b": x + 1},
    ]
    digests = {weights_file.digest(other) for other in others}
    assert len(digests | {base}) == len(others) + 1
